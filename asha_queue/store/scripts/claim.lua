-- claim(experiment, seen, troubles, aside; trial, rung, attempt, claim, worker, ready)
--     → {'run', token, bracket, rung, target, attempt, config, {checkpoint …}, begun}
--     | {'completed'} | {'refused', reason} | {'aside', reason, for how many µs}
--
-- KEYS[1]  the experiment's hash; writes the record, `queued`, `running`, the journal
-- KEYS[2]  zset of workers by their last beat
-- KEYS[3]  hash of worker → its troubles
-- KEYS[4]  zset of the workers set aside
-- ARGV[1…3] what the message says: trial, rung, attempt
-- ARGV[4]  random id of this claim: asking again gives the same answer
-- ARGV[5]  the worker's name
-- ARGV[6]  '1': where there is no checkpoint to verify, the claim is started, too, as by `start`;
--          the answer's `begun` is '1' then
--
-- Token = max(last token of the trial + 1, server time in µs): it grows even when the store was
-- rolled back to before the last one. A checkpoint at the target completes the segment at once: its
-- entry bears the token of the claim that wrote it (that one was started; this one never is), while
-- the record takes a new token, so that the writer's own late `complete` is stale.
--
-- A retry refuses the host it failed on for AVOID while a worker of another one lives, else the
-- worker while another lives. That, and what a worker that is set aside has asked for, is due again
-- in REFUSED_AGAIN: not at once, or the mark of the publication just taken would put it off by more.

local trial, rung, attempt, claim, worker, ready = unpack(ARGV)

local state, clock, ending = unpack(redis.call('HMGET', experiment, 'state', 'clock', 'ending'))
if not state then return {'refused', 'the experiment is unknown: it was deleted or lost'} end
local r = record(trial)
if not r then return {'refused', 'trial ' .. trial .. ' was never scheduled'} end

local function run(token, begun)
  return {'run', token, r.bracket, r.rung, r.target, r.attempt, redis.call('HGET', r.key, 'config'),
    redis.call('LRANGE', r.checkpoints, 0, -1), begun and '1' or '0'}
end

if r.state == 'RUNNING' and r.claim == claim then return run(r.token, r.started == r.token) end
if r.ended_claim == claim and r.ended_how == 'found' then return {'completed'} end
if state ~= 'open' then return {'refused', 'the experiment is ' .. state} end
if ending == '1' then return {'refused', 'the experiment is ending'} end
local name = 'trial ' .. trial .. ' rung ' .. r.rung .. ' attempt ' .. r.attempt
if r.rung ~= rung or r.attempt ~= attempt then
  return {'refused',
    'the message is for rung ' .. rung .. ' attempt ' .. attempt .. ', present is ' .. name}
end
if r.state == 'RUNNING' then return {'refused', name .. ' was claimed by ' .. r.worker} end
if r.state == 'IDLE' then return {'refused', name .. ' is completed'} end
if r.state == 'FINAL' then return {'refused', name .. ' has failed for good'} end
local till = tonumber(redis.call('ZSCORE', KEYS[4], worker) or 0)
if till > now then
  refused(r)
  return {'aside', troubles(KEYS[3], worker).reason, digits(till - now)}
end

local function host(name) return string.match(name, '@(.*)$') or name end

local function avoids()
  if r.avoid == '' or count(r, 'avoid_until') <= now then return false end
  local elsewhere, another = false, false
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], digits(now - WORKER_TIMEOUT), '+inf')) do
    if name ~= r.avoid then another = true end
    if host(name) ~= host(r.avoid) then elsewhere = true end
  end
  if elsewhere then return host(worker) == host(r.avoid) end
  return another and worker == r.avoid
end

if avoids() then
  refused(r)
  return {'refused', name .. ' avoids ' .. r.avoid .. ', where it failed'}
end

local token = digits(math.max(count(r, 'token') + 1, now))
redis.call('ZREM', queued, trial)
redis.call('HSET', r.key, 'token', token, 'claim', claim, 'worker', worker, 'started', '')
local found = newest(r)
if found and found.resource == r.target then
  r.token, r.claim = token, claim
  close(r, 'IDLE', 'found')
  append('completed', head(r, found.token, worker) .. '"metrics":' .. found.metrics ..
    ',"reached":' .. r.target .. ',"checkpoint":' .. found.text .. ',"seconds":0,"curve":[[' ..
    r.target .. ',' .. found.metrics .. ']]', true)
  return {'completed'}
end
redis.call('HSET', r.key, 'state', 'RUNNING')
redis.call('ZADD', running, digits(clock + LEASE), trial)
local begun = ready == '1' and not found
if begun then
  r.worker = worker
  begin(r, token, '0')
end
return run(token, begun)
