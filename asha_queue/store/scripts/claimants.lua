-- claimants(names; prefix) → {uid, wants, submitted_at, weight, queue, claims} …
--
-- KEYS[1]  hash of name → uid
-- ARGV[1]  what comes before a uid in the key of an experiment's hash
--
-- The open experiments whose leader's lease has not run out. Those of the first version have neither
-- weight nor queue: nil. Claims are those of the present leader, else '': one of an earlier version
-- makes none.

local found = {}
for _, uid in ipairs(redis.call('HVALS', KEYS[1])) do
  local state, till, wants, since, weight, queue, leader, claims, of = unpack(redis.call('HMGET',
    ARGV[1] .. uid, 'state', 'leader_until', 'wants', 'submitted_at', 'weight', 'queue', 'leader',
    'claims', 'claims_of'))
  if state == 'open' and till and tonumber(till) > now then
    table.insert(found, {uid, wants, since, weight, queue, of == leader and claims or ''})
  end
end
return found
