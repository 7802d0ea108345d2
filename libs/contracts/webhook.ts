import { ApiProperty } from '@nestjs/swagger';
import { IsString, MaxLength, MinLength } from 'class-validator';

/** Where to tell of an end. */
export class WebhookDto {
  @ApiProperty({ minLength: 1, maxLength: 2048, example: 'https://example.org/hook', description: 'http or https' })
  @IsString()
  @MinLength(1)
  @MaxLength(2048)
  url!: string;
}

export const DELIVERY_STATES = ['pending', 'delivered', 'failed'] as const;
export type DeliveryState = (typeof DELIVERY_STATES)[number];

export class DeliveryAttemptDto {
  @ApiProperty({ format: 'date-time' }) at!: string;
  @ApiProperty({ type: 'integer', nullable: true, description: 'HTTP status of the answer' }) status!: number | null;
  @ApiProperty({ type: String, nullable: true, description: 'Why there was none, or why it does not count' }) error!:
    | string
    | null;
  @ApiProperty({ type: 'integer' }) durationMs!: number;
}

/** A message to a webhook: what became of it. */
export class DeliveryDto {
  @ApiProperty({ example: 'whk_0123456789abcdef01234567' }) id!: string;
  @ApiProperty({ description: 'The execution it tells of' }) executionId!: string;
  @ApiProperty() url!: string;
  @ApiProperty({ enum: DELIVERY_STATES }) state!: DeliveryState;
  @ApiProperty({ format: 'date-time' }) createdAt!: string;
  @ApiProperty({ type: String, format: 'date-time', nullable: true }) nextAttemptAt!: string | null;
  @ApiProperty({ type: [DeliveryAttemptDto] }) attempts!: DeliveryAttemptDto[];
}

export class DeliveryListDto {
  @ApiProperty({ type: [DeliveryDto] }) items!: DeliveryDto[];
  @ApiProperty({ type: String, nullable: true, description: 'Pass as ?cursor= for the next page' }) nextCursor!:
    | string
    | null;
}

export class WebhookSecretDto {
  @ApiProperty({ description: 'Key of the HMAC-SHA256 in Cordon-Signature' }) secret!: string;
}
