-- alive(alive, seen) → {name, info, seen_at in µs} …
--
-- KEYS[1]  hash of worker, or coordinator → what it says of itself
-- KEYS[2]  zset of them by their last beat
--
-- Only those heard within WORKER_TIMEOUT.

local found, since = {}, digits(now - WORKER_TIMEOUT)
local alive = redis.call('ZRANGEBYSCORE', KEYS[2], since, '+inf', 'WITHSCORES')
for i = 1, #alive, 2 do
  table.insert(found, {alive[i], redis.call('HGET', KEYS[1], alive[i]), alive[i + 1]})
end
return found
