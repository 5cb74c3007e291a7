-- reap(experiment; limit) → 'unknown' | trial …
--
-- KEYS[1]  the experiment's hash: clock, tick; writes what `lose` writes
-- ARGV[1]  at most so many trials in one call
--
-- The lease clock advances by the time since the last tick, at most CLOCK_STEP: while the server
-- was down or asleep no holder could renew, so that time does not count against anybody.

local clock, tick = unpack(redis.call('HMGET', experiment, 'clock', 'tick'))
if not clock then return 'unknown' end
clock = clock + math.max(0, math.min(now - tick, CLOCK_STEP))
redis.call('HSET', experiment, 'clock', digits(clock), 'tick', digits(now))
local trials = redis.call('ZRANGEBYSCORE', running, '-inf', digits(clock), 'LIMIT', 0, ARGV[1])
for _, trial in ipairs(trials) do lose(record(trial), 'its lease ran out', 'nobody') end
return trials
