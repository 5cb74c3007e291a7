-- extend(experiment; request, members, num_samples, max_t, time_budget, resource_budget, stop_at)
--     → 'ok' | 'unchanged' | 'cancelled' | 'unknown'
--
-- KEYS[1]  the experiment's hash: state, ending and the five values; writes orders and the journal
-- ARGV[1]  random id of this order
-- ARGV[2]  members of the `extended` entry, JSON text without braces
-- ARGV[3…] the new values as JSON, '' = as it is
--
-- The values can only grow, those of `stop_at` each the way that is harder to reach; what there is
-- no limit of cannot. The hash holds them once they were extended, until then they are those of the
-- specification; they are compared as numbers here, and kept as the client wrote them. A finished
-- experiment is open again, and one that is ending goes on: its coordinator decides on the new
-- trials and the new rung, or ends it once more.

local answer, state = obeyed(ARGV[1])
if answer then return answer end
if state == 'cancelled' then return state end

local specification = cjson.decode(redis.call('HGET', experiment, 'specification'))
local modes = {}
if type(specification.metric) == 'table' then
  for i, metric in ipairs(specification.metric) do modes[metric] = specification.mode[i] end
elseif specification.metric then
  modes[specification.metric] = specification.mode
end

local function present_of(name)
  local held = redis.call('HGET', experiment, name)
  if held then return cjson.decode(held) end
  local present = specification[name]
  if present ~= cjson.null then return present end
end

-- How a value compares with the present one: above 0 if it is more, below 0 if less.
local function compared(name, present, wanted)
  if name ~= 'stop_at' then return wanted - present end
  local least, most = 0, 0
  for metric, value in pairs(present) do
    if not wanted[metric] then return -1 end
    local more = (wanted[metric] - value) * (modes[metric] == 'max' and 1 or -1)
    least, most = math.min(least, more), math.max(most, more)
  end
  for metric in pairs(wanted) do
    if not present[metric] then return -1 end
  end
  return least < 0 and least or most
end

local raised = {}
for i, name in ipairs({'num_samples', 'max_t', 'time_budget', 'resource_budget', 'stop_at'}) do
  local text = ARGV[i + 2]
  if text ~= '' then
    local present = present_of(name)
    if not present then return illegal('there is no ' .. name .. ' that could be raised') end
    local more = compared(name, present, cjson.decode(text))
    if more < 0 then
      return illegal(name .. ' is ' .. cjson.encode(present) .. ' and cannot shrink to ' .. text)
    end
    if more > 0 then
      table.insert(raised, name)
      table.insert(raised, text)
    end
  end
end
if #raised == 0 then return 'unchanged' end

append('extended', ARGV[2], true)
redis.call('HSET', experiment, unpack(raised))
local ending = redis.call('HGET', experiment, 'ending') == '1'
redis.call('HSET', experiment, 'ending', '')
if state == 'finished' then redis.call('HSET', experiment, 'state', 'open') end
if ending or state == 'finished' then all_due() end
return obey(ARGV[1], 'ok')
