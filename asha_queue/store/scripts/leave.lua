-- leave(alive, seen, troubles, aside; name) → 'ok'
--
-- KEYS[1]  hash of worker, or coordinator → what it says of itself
-- KEYS[2]  zset of them by their last beat
-- KEYS[3]  hash of worker → its troubles; none for coordinators
-- KEYS[4]  zset of the workers set aside
-- ARGV[1]  its name

redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
if KEYS[3] then
  redis.call('HDEL', KEYS[3], ARGV[1])
  redis.call('ZREM', KEYS[4], ARGV[1])
end
return 'ok'
