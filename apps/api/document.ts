import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { OpenAPIObject } from '@nestjs/swagger';
import { ApiModule } from './app.js';
import { buildDocument } from './openapi.js';
import { ApiSettings } from './settings.js';

/** The OpenAPI document without a server: nothing is connected to, nothing listens. */
export async function apiDocument(): Promise<OpenAPIObject> {
  const settings = new ApiSettings('redis://127.0.0.1:1', '127.0.0.1', 0, []);
  const app = await NestFactory.create<NestFastifyApplication>(ApiModule.with(settings), new FastifyAdapter(), {
    logger: false,
    preview: true,
  });
  return buildDocument(app);
}
