/** Changes of stored problems, one script each: there is no half-made version, and no chunk without an owner. */

/** ARGV: id, tenant, settings, at (ISO), at (ms), most problems of a tenant, sources. -> 1, or 0 when there are too many. */
export const CREATE_PROBLEM = `
local of = 'cordon:tenant:' .. ARGV[2] .. ':problems'
if redis.call('ZCARD', of) >= tonumber(ARGV[6]) then return 0 end
redis.call('HSET', 'cordon:problem:' .. ARGV[1], 'tenant', ARGV[2], 'settings', ARGV[3], 'sources', ARGV[7],
  'version', 0, 'createdAt', ARGV[4], 'updatedAt', ARGV[4])
redis.call('ZADD', of, ARGV[5], ARGV[1])
return 1`;

/**
 * A new version, of staged chunks and of those that are there already. ARGV: id, tenant, upload, most bytes of the tenant, most versions,
 * the version it builds on ('' = none), tests, summary, at (ISO), then digest and size of each of its chunks, each once.
 * -> { what, number }: what = created | gone | versions | changed | lost | quota (number: bytes in use).
 */
export const ADD_VERSION = `
local id, tenant, upload = ARGV[1], ARGV[2], ARGV[3]
local problem = 'cordon:problem:' .. id
local record = redis.call('HMGET', problem, 'tenant', 'version')
if record[1] ~= tenant then return { 'gone', 0 } end
if redis.call('HLEN', problem .. ':versions') >= tonumber(ARGV[5]) then return { 'versions', 0 } end
if ARGV[6] ~= '' and record[2] ~= ARGV[6] then return { 'changed', 0 } end
local place = 'cordon:tenant:' .. tenant .. ':chunk'
local added = 0
local digests = {}
for i = 10, #ARGV, 2 do
  digests[#digests + 1] = ARGV[i]
  if redis.call('HEXISTS', place .. '-uses', ARGV[i]) == 0 then
    if redis.call('EXISTS', 'cordon:upload:' .. upload .. ':' .. ARGV[i]) == 0 then return { 'lost', 0 } end
    added = added + tonumber(ARGV[i + 1])
  end
end
local used = tonumber(redis.call('GET', place .. '-bytes') or 0)
if used + added > tonumber(ARGV[4]) then return { 'quota', used } end
for _, digest in ipairs(digests) do
  if redis.call('HINCRBY', place .. '-uses', digest, 1) == 1 then
    redis.call('RENAME', 'cordon:upload:' .. upload .. ':' .. digest, place .. ':' .. digest)
    redis.call('PERSIST', place .. ':' .. digest)
  end
end
redis.call('INCRBY', place .. '-bytes', added)
local version = redis.call('HINCRBY', problem, 'version', 1)
redis.call('HSET', problem, 'updatedAt', ARGV[9])
redis.call('HSET', problem .. ':versions', version, ARGV[7])
redis.call('HSET', problem .. ':summaries', version, ARGV[8])
redis.call('HSET', problem .. ':chunks', version, table.concat(digests, ' '))
return { 'created', version }`;

/** A problem with all its versions, and the chunks that nobody else uses. ARGV: id, tenant. -> 1 or 0. */
export const DELETE_PROBLEM = `
local id, tenant = ARGV[1], ARGV[2]
local problem = 'cordon:problem:' .. id
if redis.call('HGET', problem, 'tenant') ~= tenant then return 0 end
local place = 'cordon:tenant:' .. tenant .. ':chunk'
local freed = 0
for _, digests in ipairs(redis.call('HVALS', problem .. ':chunks')) do
  for digest in string.gmatch(digests, '%S+') do
    if redis.call('HINCRBY', place .. '-uses', digest, -1) <= 0 then
      redis.call('HDEL', place .. '-uses', digest)
      freed = freed + redis.call('STRLEN', place .. ':' .. digest)
      redis.call('DEL', place .. ':' .. digest)
    end
  end
end
redis.call('DECRBY', place .. '-bytes', freed)
redis.call('DEL', problem, problem .. ':versions', problem .. ':summaries', problem .. ':chunks', problem .. ':submissions')
redis.call('ZREM', 'cordon:tenant:' .. tenant .. ':problems', id)
return 1`;
