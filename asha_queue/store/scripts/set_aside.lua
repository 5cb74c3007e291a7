-- set_aside(troubles, aside; worker, reason) → 'ok'
--
-- KEYS[1]  hash of worker → its troubles
-- KEYS[2]  zset of the workers set aside by the time until which they are
-- ARGV[1]  the worker's name
-- ARGV[2]  reason
--
-- One that is set aside already stays so for as long as it was told.

if tonumber(redis.call('ZSCORE', KEYS[2], ARGV[1]) or 0) > now then return 'ok' end
rest(KEYS[1], KEYS[2], ARGV[1], troubles(KEYS[1], ARGV[1]), ARGV[2])
return 'ok'
