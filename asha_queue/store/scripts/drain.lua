-- drain(drains; by, worker …) → 'ok'
--
-- KEYS[1]  hash of worker → who wants it to be drained
-- ARGV[1]  who
-- ARGV[2…] the workers, alive or not

for i = 2, #ARGV do redis.call('HSET', KEYS[1], ARGV[i], ARGV[1]) end
return 'ok'
