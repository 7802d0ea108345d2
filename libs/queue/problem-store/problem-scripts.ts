import { PLAIN_SOURCES_BYTES } from './settings.js';

/**
 * Changes of stored problems, one script each: there is no half-made version, and no chunk without an owner. A version keeps the number
 * (`revision`) of the settings it is judged by; those are kept once, however many versions have them. Programs among them count as test data.
 */
const SHARED = `
local function owned(problem, tenant) return redis.call('HGET', problem, 'tenant') == tenant end
local function weight(sources) return #sources - ${PLAIN_SOURCES_BYTES} end

-- The number of a new version; none is given twice.
local function nextVersion(problem)
  local record = redis.call('HMGET', problem, 'version', 'made')
  local version = math.max(tonumber(record[1]), tonumber(record[2] or 0)) + 1
  redis.call('HSET', problem, 'version', version, 'made', version)
  return version
end

-- What the settings of the problem as they are now would add.
local function settingsWeight(problem)
  local now = redis.call('HMGET', problem, 'sources', 'revision')
  if redis.call('HEXISTS', problem .. ':settings', now[2] or '0') == 1 then return 0 end
  return weight(now[1])
end

local function keepSettings(problem, version, place)
  local now = redis.call('HMGET', problem, 'settings', 'sources', 'revision')
  local revision = now[3] or '0'
  redis.call('HSET', problem .. ':revisions', version, revision)
  if redis.call('HSETNX', problem .. ':settings', revision, now[1]) == 1 then
    redis.call('HSET', problem .. ':sources', revision, now[2])
    redis.call('INCRBY', place .. '-bytes', weight(now[2]))
  end
end

-- Versions of a server that kept no settings with them are judged by the problem's, which could not change then.
local function adopt(problem, place)
  local versions = redis.call('HKEYS', problem .. ':versions')
  if #versions == redis.call('HLEN', problem .. ':revisions') then return end
  for _, version in ipairs(versions) do
    if redis.call('HEXISTS', problem .. ':revisions', version) == 0 then keepSettings(problem, version, place) end
  end
end

local function keepVersion(problem, version, tests, summary, digests)
  redis.call('HSET', problem .. ':versions', version, tests)
  redis.call('HSET', problem .. ':summaries', version, summary)
  redis.call('HSET', problem .. ':chunks', version, digests)
end

-- Chunks that nobody uses any more go. Bytes that are free then.
local function release(place, digests)
  local freed = 0
  for digest in string.gmatch(digests, '%S+') do
    if redis.call('HINCRBY', place .. '-uses', digest, -1) <= 0 then
      redis.call('HDEL', place .. '-uses', digest)
      freed = freed + redis.call('STRLEN', place .. ':' .. digest)
      redis.call('DEL', place .. ':' .. digest)
    end
  end
  return freed
end
`;

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
export const ADD_VERSION = `${SHARED}
local id, tenant, upload = ARGV[1], ARGV[2], ARGV[3]
local problem = 'cordon:problem:' .. id
local place = 'cordon:tenant:' .. tenant .. ':chunk'
if not owned(problem, tenant) then return { 'gone', 0 } end
adopt(problem, place)
if redis.call('HLEN', problem .. ':versions') >= tonumber(ARGV[5]) then return { 'versions', 0 } end
if ARGV[6] ~= '' and redis.call('HGET', problem, 'version') ~= ARGV[6] then return { 'changed', 0 } end
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
if used + added + settingsWeight(problem) > tonumber(ARGV[4]) then return { 'quota', used } end
for _, digest in ipairs(digests) do
  if redis.call('HINCRBY', place .. '-uses', digest, 1) == 1 then
    redis.call('RENAME', 'cordon:upload:' .. upload .. ':' .. digest, place .. ':' .. digest)
    redis.call('PERSIST', place .. ':' .. digest)
  end
end
redis.call('INCRBY', place .. '-bytes', added)
local version = nextVersion(problem)
redis.call('HSET', problem, 'updatedAt', ARGV[9])
keepVersion(problem, version, ARGV[7], ARGV[8], table.concat(digests, ' '))
keepSettings(problem, version, place)
return { 'created', version }`;

/**
 * Other settings, or other points and groups: a new version with the data of the latest. Of a problem without tests only the settings
 * change. ARGV: id, tenant, most bytes of the tenant, most versions, the latest version, title, settings ('' = as they are), sources, at (ISO),
 * tests, summary; without those two only the title changes, as far as there are versions.
 * -> { what, number } as above, number: the latest version.
 */
export const CHANGE_PROBLEM = `${SHARED}
local tenant, base, settings, sources, tests = ARGV[2], ARGV[5], ARGV[7], ARGV[8], ARGV[10]
local problem = 'cordon:problem:' .. ARGV[1]
local place = 'cordon:tenant:' .. tenant .. ':chunk'
if not owned(problem, tenant) then return { 'gone', 0 } end
adopt(problem, place)
if redis.call('HGET', problem, 'version') ~= base then return { 'changed', 0 } end
if tests ~= '' then
  if redis.call('HLEN', problem .. ':versions') >= tonumber(ARGV[4]) then return { 'versions', 0 } end
  local used = tonumber(redis.call('GET', place .. '-bytes') or 0)
  if settings ~= '' and used + weight(sources) > tonumber(ARGV[3]) then return { 'quota', used } end
end
redis.call('HSET', problem, 'title', ARGV[6], 'updatedAt', ARGV[9])
if settings ~= '' then
  redis.call('HSET', problem, 'settings', settings, 'sources', sources)
  if tests ~= '' then redis.call('HINCRBY', problem, 'revision', 1) end
end
if tests == '' then return { 'created', tonumber(base) } end
local digests = redis.call('HGET', problem .. ':chunks', base)
for digest in string.gmatch(digests, '%S+') do redis.call('HINCRBY', place .. '-uses', digest, 1) end
local version = nextVersion(problem)
keepVersion(problem, version, tests, ARGV[11], digests)
keepSettings(problem, version, place)
return { 'created', version }`;

/**
 * One version, and what only it has. Where it was the latest, the one before it is, with its settings. ARGV: id, tenant, version, at (ISO).
 * -> 1, or 0 when there is no such version.
 */
export const DELETE_VERSION = `${SHARED}
local tenant, version = ARGV[2], ARGV[3]
local problem = 'cordon:problem:' .. ARGV[1]
local place = 'cordon:tenant:' .. tenant .. ':chunk'
if not owned(problem, tenant) then return 0 end
local digests = redis.call('HGET', problem .. ':chunks', version)
if not digests then return 0 end
adopt(problem, place)
local freed = release(place, digests)
for _, part in ipairs({ ':versions', ':summaries', ':chunks' }) do redis.call('HDEL', problem .. part, version) end
local revision = redis.call('HGET', problem .. ':revisions', version)
redis.call('HDEL', problem .. ':revisions', version)
redis.call('HSET', problem, 'updatedAt', ARGV[4])
if redis.call('HGET', problem, 'version') == version then
  local latest = 0
  for _, other in ipairs(redis.call('HKEYS', problem .. ':versions')) do latest = math.max(latest, tonumber(other)) end
  redis.call('HSET', problem, 'version', latest)
  if latest > 0 then
    local before = redis.call('HGET', problem .. ':revisions', latest)
    redis.call('HSET', problem, 'revision', before, 'settings', redis.call('HGET', problem .. ':settings', before),
      'sources', redis.call('HGET', problem .. ':sources', before))
  end
end
-- Without any version the problem's own are the only ones: they may change, and the next version has them.
local needed = false
for _, other in ipairs(redis.call('HVALS', problem .. ':revisions')) do needed = needed or other == revision end
if not needed then
  freed = freed + weight(redis.call('HGET', problem .. ':sources', revision))
  redis.call('HDEL', problem .. ':settings', revision)
  redis.call('HDEL', problem .. ':sources', revision)
end
redis.call('DECRBY', place .. '-bytes', freed)
return 1`;

/** A problem with all its versions, and the chunks that nobody else uses. ARGV: id, tenant. -> 1 or 0. */
export const DELETE_PROBLEM = `${SHARED}
local id, tenant = ARGV[1], ARGV[2]
local problem = 'cordon:problem:' .. id
if not owned(problem, tenant) then return 0 end
local place = 'cordon:tenant:' .. tenant .. ':chunk'
local freed = 0
for _, digests in ipairs(redis.call('HVALS', problem .. ':chunks')) do freed = freed + release(place, digests) end
for _, sources in ipairs(redis.call('HVALS', problem .. ':sources')) do freed = freed + weight(sources) end
redis.call('DECRBY', place .. '-bytes', freed)
redis.call('DEL', problem)
for _, part in ipairs({ 'versions', 'summaries', 'chunks', 'revisions', 'settings', 'sources', 'submissions' }) do
  redis.call('DEL', problem .. ':' .. part)
end
redis.call('ZREM', 'cordon:tenant:' .. tenant .. ':problems', id)
return 1`;
