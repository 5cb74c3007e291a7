-- renew(experiment, drains; trial, token) → 'ok' | 'drain' | 'cancel' | 'stale' | 'unknown'
--
-- KEYS[1]  the experiment's hash; moves the trial in `running`
-- KEYS[2]  hash of the workers to be drained
-- ARGV[1]  trial
-- ARGV[2]  token of the claim
--
-- A stale renewal is not counted: a keeper may well ask once more after its segment has ended.

local clock, state, draining, ending =
  unpack(redis.call('HMGET', experiment, 'clock', 'state', 'draining', 'ending'))
if not clock then return 'unknown' end
local held, token, worker, ended, how = unpack(redis.call('HMGET',
  experiment .. ':trial:' .. ARGV[1], 'state', 'token', 'worker', 'ended_token', 'ended_how'))
if held ~= 'RUNNING' or token ~= ARGV[2] then
  return ended == ARGV[2] and how == 'cancelled' and 'cancel' or 'stale'
end
redis.call('ZADD', running, digits(clock + LEASE), ARGV[1])
local told = ending == '1' or (state == 'paused' and draining == '1')
if told or redis.call('HEXISTS', KEYS[2], worker) == 1 then return 'drain' end
return 'ok'
