-- extend(experiment; request, members, num_samples, max_t)
--     → 'ok' | 'unchanged' | 'cancelled' | 'unknown'
--
-- KEYS[1]  the experiment's hash: state, num_samples, max_t; writes orders and the journal
-- ARGV[1]  random id of this order
-- ARGV[2]  members of the `extended` entry, JSON text without braces
-- ARGV[3…4] the new values, '' = as it is
--
-- The values can only grow. The hash holds them once they were extended, until then they are those
-- of the specification (whole numbers, which cjson reads exactly). A finished experiment is open
-- again: its coordinator decides on the new trials and the new rung.

local answer, state = obeyed(ARGV[1])
if answer then return answer end
if state == 'cancelled' then return state end

local specification = cjson.decode(redis.call('HGET', experiment, 'specification'))
local raised = {}
for i, name in ipairs({'num_samples', 'max_t'}) do
  local value = ARGV[i + 2]
  if value ~= '' then
    local present = tonumber(redis.call('HGET', experiment, name) or specification[name])
    if tonumber(value) < present then
      return illegal(name .. ' is ' .. digits(present) .. ' and cannot shrink to ' .. value)
    end
    if tonumber(value) > present then
      table.insert(raised, name)
      table.insert(raised, value)
    end
  end
end
if #raised == 0 then return 'unchanged' end

append('extended', ARGV[2], true)
redis.call('HSET', experiment, unpack(raised))
if state == 'finished' then redis.call('HSET', experiment, 'state', 'open') end
return obey(ARGV[1], 'ok')
