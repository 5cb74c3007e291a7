-- undrain(drains; worker) → 'ok'
--
-- KEYS[1]  hash of worker → who wants it to be drained
-- ARGV[1]  the worker's name

redis.call('HDEL', KEYS[1], ARGV[1])
return 'ok'
