-- alive(alive, seen, troubles, aside) → {name, info, seen_at in µs, why it is set aside or ''} …
--
-- KEYS[1]  hash of worker, or coordinator → what it says of itself
-- KEYS[2]  zset of them by their last beat
-- KEYS[3]  hash of worker → its troubles; none for coordinators
-- KEYS[4]  zset of the workers set aside
--
-- Only those heard within WORKER_TIMEOUT.

local found, since = {}, digits(now - WORKER_TIMEOUT)
local alive = redis.call('ZRANGEBYSCORE', KEYS[2], since, '+inf', 'WITHSCORES')
for i = 1, #alive, 2 do
  local name, aside = alive[i], ''
  if KEYS[3] and tonumber(redis.call('ZSCORE', KEYS[4], name) or 0) > now then
    aside = troubles(KEYS[3], name).reason
  end
  table.insert(found, {name, redis.call('HGET', KEYS[1], name), alive[i + 1], aside})
end
return found
