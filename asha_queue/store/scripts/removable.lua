-- removable(experiment; age, limit) → 'unknown' | {path …}
--
-- KEYS[1]  the experiment's hash; reads removals
-- ARGV[1]  µs for which a checkpoint must have been off the record
-- ARGV[2]  at most so many paths

if absent() then return 'unknown' end
return redis.call('ZRANGEBYSCORE', experiment .. ':removals', '-inf', digits(now - ARGV[1]),
  'LIMIT', 0, ARGV[2])
