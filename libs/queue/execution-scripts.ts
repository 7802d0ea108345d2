/**
 * Every change of an execution is one Lua script: there is no half-made, half-started or half-ended one, whoever dies in between.
 *
 * Waiting executions stand in lanes, one per API key and priority: sorted sets of ids by sequence number. The ring of a priority is a
 * sorted set of the lanes that have something to run, by the sequence number of their last turn: the first one is next. A key at its
 * concurrency limit is out of the ring until one of its executions ends.
 *
 * `idle` is the set of workers with a free place that found nothing to run: a new execution wakes one of them, by a message.
 */

/** Shared by the scripts: names and the steps they have in common. `P` is the prefix of all names. */
const COMMON = `
local P = 'cordon:'
local function executionOf(id) return P .. 'execution:' .. id end
local function laneOf(priority, key) return P .. 'lane:' .. priority .. ':' .. key end
local function ringOf(priority) return P .. 'ring:' .. priority end
local function sequence() return redis.call('INCR', P .. 'sequence') end
local function say(id, kind, data) redis.call('XADD', executionOf(id) .. ':events', '*', 't', kind, 'd', data) end
local function enterRing(priority, key)
  if redis.call('EXISTS', laneOf(priority, key)) == 1 and not redis.call('ZSCORE', ringOf(priority), key) then
    redis.call('ZADD', ringOf(priority), sequence(), key)
  end
end
local function enqueue(id, priority, key, place, now)
  redis.call('ZADD', laneOf(priority, key), place, id)
  redis.call('ZADD', P .. 'waiting', now, id)
  enterRing(priority, key)
end
local function dequeue(id, priority, key)
  redis.call('ZREM', laneOf(priority, key), id)
  redis.call('ZREM', P .. 'waiting', id)
end
local function release(id, key, worker)
  if worker then redis.call('SREM', P .. 'worker:' .. worker .. ':running', id) end
  redis.call('SREM', P .. 'running', id)
  redis.call('SREM', P .. 'running:' .. key, id)
  enterRing('interactive', key)
  enterRing('batch', key)
end
local function milliseconds()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
`;

/**
 * KEYS: idempotency place or ''. ARGV: id, tenant, key, priority, created at (ISO), created at (ms), meta, job, fingerprint, seconds an
 * idempotency key is kept, retention seconds, day, most waiting, and of the key: most waiting, executions a day, CPU ms a day,
 * concurrency ('' = no limit); id and URL of a message to a webhook, or ''; the sorted set of a problem's submissions, or ''.
 * -> { what, id, fingerprint, waiting, tickets, woken }: woken: whether a worker heard of it; what = created | there | full | queued | executions | cpu.
 */
export const CREATE = `${COMMON}
local id, tenant, key, priority = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if redis.call('EXISTS', executionOf(id)) == 1 then return { 'created', id, ARGV[9], 1, 0, 0 } end
if KEYS[1] ~= '' then
  local earlier = redis.call('GET', KEYS[1])
  if earlier then return { 'there', string.match(earlier, '^%S+'), string.match(earlier, '%S+$'), 0, 0, 0 } end
end
local waiting = redis.call('ZCARD', P .. 'waiting')
if waiting >= tonumber(ARGV[13]) then return { 'full', '', '', waiting, 0 } end
if ARGV[14] ~= '' then
  local mine = redis.call('ZCARD', laneOf('interactive', key)) + redis.call('ZCARD', laneOf('batch', key))
  if mine >= tonumber(ARGV[14]) then return { 'queued', '', '', waiting, 0 } end
end
local usage = P .. 'usage:' .. key .. ':' .. ARGV[12]
local used = redis.call('HMGET', usage, 'executions', 'cpuMs')
if ARGV[15] ~= '' and tonumber(used[1] or 0) >= tonumber(ARGV[15]) then return { 'executions', '', '', waiting, 0 } end
if ARGV[16] ~= '' and tonumber(used[2] or 0) >= tonumber(ARGV[16]) then return { 'cpu', '', '', waiting, 0 } end
redis.call('HINCRBY', usage, 'executions', 1)
redis.call('EXPIRE', usage, 259200)
if KEYS[1] ~= '' then redis.call('SET', KEYS[1], id .. ' ' .. ARGV[9], 'EX', ARGV[10]) end
if ARGV[17] ~= '' then redis.call('HSET', P .. 'concurrency', key, ARGV[17]) else redis.call('HDEL', P .. 'concurrency', key) end
local place = sequence()
redis.call('HSET', executionOf(id), 'tenant', tenant, 'key', key, 'priority', priority, 'place', place, 'state', 'queued', 'attempt', '0',
  'createdAt', ARGV[5], 'meta', ARGV[7], 'job', ARGV[8], 'retention', ARGV[11])
if ARGV[18] ~= '' then redis.call('HSET', executionOf(id), 'webhook', ARGV[18]) end
redis.call('ZADD', P .. 'tenant:' .. tenant .. ':executions', ARGV[6], id)
if ARGV[19] ~= '' then
  redis.call('ZADD', ARGV[19], ARGV[6], id)
  redis.call('ZREMRANGEBYSCORE', ARGV[19], '-inf', ARGV[6] - 2000 * ARGV[11])
  redis.call('EXPIRE', ARGV[19], 2 * ARGV[11])
end
say(id, 'status', '{"state":"queued","at":"' .. ARGV[5] .. '"}')
enqueue(id, priority, key, place, ARGV[6])
local woken = 0
while woken == 0 do
  local worker = redis.call('SPOP', P .. 'idle')
  if not worker then break end
  woken = redis.call('PUBLISH', P .. 'wake:' .. worker, id)
end
return { 'created', id, ARGV[9], waiting + 1, redis.call('LLEN', P .. 'executions:wait'), woken }`;

/** How many turns of interactive work one turn of batch work may be made to wait. */
const BATCH_EVERY = 16;

/**
 * The next execution in turn begins on a worker. ARGV: worker, now (ISO), 1 when the worker has another place free.
 * Where it has, or where nothing can run, it is one of the idle from now on.
 * -> nil when nothing can run; { id, attempt, record as a flat list }; attempt -1: it is to be canceled instead.
 */
export const TAKE = `${COMMON}
local function begin(id, key, priority)
  local record = redis.call('HMGET', executionOf(id), 'state', 'cancel')
  dequeue(id, priority, key)
  if record[1] ~= 'queued' then return nil end
  if record[2] then return { id, -1, {} } end
  local attempt = redis.call('HINCRBY', executionOf(id), 'attempt', 1)
  redis.call('HSET', executionOf(id), 'state', 'running', 'startedAt', ARGV[2], 'worker', ARGV[1])
  redis.call('SADD', P .. 'worker:' .. ARGV[1] .. ':running', id)
  redis.call('SADD', P .. 'running', id)
  redis.call('SADD', P .. 'running:' .. key, id)
  local restarted = ''
  if attempt > 1 then restarted = ',"restarted":true' end
  say(id, 'status', '{"state":"running","at":"' .. ARGV[2] .. '","attempt":' .. attempt .. restarted .. '}')
  redis.call('PUBLISH', P .. 'news', id)
  return { id, attempt, redis.call('HGETALL', executionOf(id)) }
end
local function turn(priority)
  while true do
    local key = redis.call('ZRANGE', ringOf(priority), 0, 0)[1]
    if not key then return nil end
    local most = tonumber(redis.call('HGET', P .. 'concurrency', key) or 1e9)
    if redis.call('SCARD', P .. 'running:' .. key) >= most then
      redis.call('ZREM', ringOf(priority), key)
    else
      local id = redis.call('ZRANGE', laneOf(priority, key), 0, 0)[1]
      local taken = id and begin(id, key, priority)
      if redis.call('EXISTS', laneOf(priority, key)) == 0 then redis.call('ZREM', ringOf(priority), key)
      elseif taken then redis.call('ZADD', ringOf(priority), sequence(), key) end
      if taken then return taken end
    end
  end
end
local order = { 'interactive', 'batch' }
if redis.call('EXISTS', ringOf('batch')) == 1 and redis.call('INCR', P .. 'turns') % ${BATCH_EVERY} == 0 then
  order = { 'batch', 'interactive' }
end
local taken = turn(order[1]) or turn(order[2])
redis.call((not taken or ARGV[3] == '1') and 'SADD' or 'SREM', P .. 'idle', ARGV[1])
return taken`;

/** A submission's job that is longer is not kept after its end: it cannot be judged again. */
const JOB_KEPT = 4 << 20;

/** Characters of a result that goes with the news of it, so that whoever waits need not ask for it. */
const RESULT_IN_NEWS = 16_384;

/**
 * The one write that ends an execution: only from a live state, only by the current attempt (0 = whoever comes first), only from the
 * state asked for ('' = any). ARGV: id, attempt, only from, state, at (ISO), result, shown, CPU ms, day, then type and data of its last
 * events.
 * -> 1 or 0.
 */
export const FINISH = `${COMMON}
local id = ARGV[1]
local record = redis.call('HMGET', executionOf(id), 'state', 'attempt', 'key', 'priority', 'worker', 'retention', 'webhook', 'tenant')
local state, key = record[1], record[3]
if state ~= 'queued' and state ~= 'running' then return 0 end
if ARGV[2] ~= '0' and record[2] ~= ARGV[2] then return 0 end
if ARGV[3] ~= '' and state ~= ARGV[3] then return 0 end
redis.call('HSET', executionOf(id), 'state', ARGV[4], 'finishedAt', ARGV[5], 'result', ARGV[6])
if string.sub(id, 1, 4) == 'sub_' and redis.call('HSTRLEN', executionOf(id), 'job') <= ${JOB_KEPT} then
  local job = redis.call('HGET', executionOf(id), 'job')
  if job then redis.call('SET', executionOf(id) .. ':job', job, 'EX', record[6]) end
end
redis.call('HDEL', executionOf(id), 'job')
for i = 10, #ARGV, 2 do say(id, ARGV[i], ARGV[i + 1]) end
say(id, 'status', '{"state":"' .. ARGV[4] .. '","at":"' .. ARGV[5] .. '"}')
say(id, 'result', ARGV[7])
redis.call('EXPIRE', executionOf(id), record[6])
redis.call('EXPIRE', executionOf(id) .. ':events', record[6])
dequeue(id, record[4], key)
release(id, key, record[5])
if ARGV[8] ~= '0' then
  local usage = P .. 'usage:' .. key .. ':' .. ARGV[9]
  redis.call('HINCRBYFLOAT', usage, 'cpuMs', ARGV[8])
  redis.call('EXPIRE', usage, 259200)
end
if record[7] then
  local message = string.match(record[7], '^%S+')
  redis.call('HSET', P .. 'webhook:' .. message, 'tenant', record[8], 'execution', id, 'url', string.match(record[7], '%S+$'),
    'state', 'pending', 'createdAt', ARGV[5], 'attempt', 0)
  local now = milliseconds()
  redis.call('ZADD', P .. 'webhooks-due', now, message)
  redis.call('ZADD', P .. 'tenant:' .. record[8] .. ':webhooks', now, message)
end
local told = id .. ' end '
if #ARGV[7] <= ${RESULT_IN_NEWS} then told = told .. ARGV[7] end
redis.call('PUBLISH', P .. 'news', told)
return 1`;

/** Events of a live execution, only by its current attempt. ARGV: id, attempt, then type and data of each. -> 1 or 0. */
export const APPEND = `${COMMON}
local id = ARGV[1]
local record = redis.call('HMGET', executionOf(id), 'attempt', 'state')
if record[1] ~= ARGV[2] or record[2] ~= 'running' then return 0 end
for i = 3, #ARGV, 2 do say(id, ARGV[i], ARGV[i + 1]) end
redis.call('PUBLISH', P .. 'news', id)
return 1`;

/** A worker gives a running execution back: it waits again, first in its lane. ARGV: id, attempt, at (ISO), at (ms). -> 1 or 0. */
export const HAND_BACK = `${COMMON}
local id = ARGV[1]
local record = redis.call('HMGET', executionOf(id), 'state', 'attempt', 'key', 'priority', 'worker', 'place')
if record[1] ~= 'running' or record[2] ~= ARGV[2] then return 0 end
redis.call('HSET', executionOf(id), 'state', 'queued')
release(id, record[3], record[5])
enqueue(id, record[4], record[3], record[6], ARGV[4])
say(id, 'status', '{"state":"queued","at":"' .. ARGV[3] .. '"}')
redis.call('PUBLISH', P .. 'news', id)
return 1`;

/**
 * A worker says that it is there. ARGV: worker, ids it runs. -> ids that are its own here and that it does not run: their start was told
 * to nobody (a connection broke in between).
 */
export const BEAT = `${COMMON}
redis.call('ZADD', P .. 'alive', milliseconds(), ARGV[1])
local known = {}
for i = 2, #ARGV do known[ARGV[i]] = true end
local strays = {}
for _, id in ipairs(redis.call('SMEMBERS', P .. 'worker:' .. ARGV[1] .. ':running')) do
  if not known[id] then strays[#strays + 1] = id end
end
return strays`;

/**
 * Executions of workers that said nothing for too long wait again, or are named when that was their last attempt. Where nobody swept for
 * a while, Redis itself was away, and so no worker could say anything: all of them have that time again.
 * ARGV: silence (ms), most attempts, at (ISO), pause between sweeps that is no pause of Redis (ms).
 * -> { waiting that can run, tickets, { lost ids } }
 */
export const SWEEP = `${COMMON}
local now = milliseconds()
local silence = tonumber(ARGV[1])
local swept = tonumber(redis.call('GET', P .. 'swept') or 0)
redis.call('SET', P .. 'swept', now)
if now - swept > tonumber(ARGV[4]) then redis.call('SET', P .. 'resumed', now) end
local silent = {}
if now - tonumber(redis.call('GET', P .. 'resumed') or 0) >= silence then
  silent = redis.call('ZRANGEBYSCORE', P .. 'alive', '-inf', now - silence)
end
local lost = {}
for _, worker in ipairs(silent) do
  redis.call('SREM', P .. 'idle', worker)
  local running = P .. 'worker:' .. worker .. ':running'
  for _, id in ipairs(redis.call('SMEMBERS', running)) do
    local record = redis.call('HMGET', executionOf(id), 'state', 'worker', 'key', 'priority', 'place')
    if record[1] == 'running' and record[2] == worker then
      if redis.call('HINCRBY', executionOf(id), 'losses', 1) >= tonumber(ARGV[2]) then
        lost[#lost + 1] = id
      else
        redis.call('HSET', executionOf(id), 'state', 'queued')
        release(id, record[3], worker)
        enqueue(id, record[4], record[3], record[5], now)
        say(id, 'status', '{"state":"queued","at":"' .. ARGV[3] .. '"}')
        redis.call('PUBLISH', P .. 'news', id)
      end
    end
  end
  -- Until they have their end, the lost ones keep the worker's name here.
  if #lost == 0 then
    redis.call('DEL', running, P .. 'worker:' .. worker)
    redis.call('ZREM', P .. 'alive', worker)
    redis.call('SREM', P .. 'workers', worker)
  end
end
local ready = redis.call('EXISTS', ringOf('interactive')) + redis.call('EXISTS', ringOf('batch'))
if ready > 0 then ready = redis.call('ZCARD', P .. 'waiting') end
return { ready, redis.call('LLEN', P .. 'executions:wait'), lost }`;

/** A worker ends in order. What it could not hand back or finish is found when it has been silent for long enough. ARGV: worker. */
export const LEAVE = `${COMMON}
redis.call('SREM', P .. 'idle', ARGV[1])
redis.call('DEL', P .. 'worker:' .. ARGV[1])
redis.call('SREM', P .. 'workers', ARGV[1])
if redis.call('EXISTS', P .. 'worker:' .. ARGV[1] .. ':running') == 0 then redis.call('ZREM', P .. 'alive', ARGV[1]) end
return 1`;
