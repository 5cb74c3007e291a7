-- renew(experiment; trial, token) → 'ok' | 'stale' | 'unknown'
--
-- KEYS[1]  the experiment's hash; moves the trial in `running`
-- ARGV[1]  trial
-- ARGV[2]  token of the claim
--
-- A stale renewal is not counted: a keeper may well ask once more after its segment has ended.

local clock = redis.call('HGET', experiment, 'clock')
if not clock then return 'unknown' end
local key = experiment .. ':trial:' .. ARGV[1]
local state, token = unpack(redis.call('HMGET', key, 'state', 'token'))
if state ~= 'RUNNING' or token ~= ARGV[2] then return 'stale' end
redis.call('ZADD', running, digits(clock + LEASE), ARGV[1])
return 'ok'
