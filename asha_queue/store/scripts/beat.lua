-- beat(alive, seen, drains, troubles, aside; name, info) → 1 if it is to be drained, else 0
--
-- KEYS[1]  hash of worker, or coordinator → what it says of itself
-- KEYS[2]  zset of them by their last beat
-- KEYS[3]  hash of the workers to be drained; a coordinator gives none of the following
-- KEYS[4]  hash of worker → its troubles
-- KEYS[5]  zset of the workers set aside
-- ARGV[1]  its name
-- ARGV[2]  what it says of itself, JSON text
--
-- Whoever was silent for WORKER_TIMEOUT is forgotten here, so that the names of a fleet that comes
-- and goes do not pile up.

local before = '(' .. digits(now - WORKER_TIMEOUT)
for _, silent in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', before)) do
  redis.call('HDEL', KEYS[1], silent)
  redis.call('ZREM', KEYS[2], silent)
  if KEYS[3] then
    redis.call('HDEL', KEYS[4], silent)
    redis.call('ZREM', KEYS[5], silent)
  end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], digits(now), ARGV[1])
return KEYS[3] and redis.call('HEXISTS', KEYS[3], ARGV[1]) or 0
