-- Prelude of every script: the loader puts the constants and this text in front of each.
--
-- A call names one key, `asha:call:SCRIPT`: by it the server knows whether this user may call this
-- script (../rights.py). Its other keys are words: the server takes each key of a call as one that is
-- written, and some callers may only read. How many they are comes first, then they, then the rest.
-- What the scripts call KEYS and ARGV is sorted out here.
--
-- KEYS[1] is the experiment's hash `asha:experiment:UID`; every other key of the experiment begins
-- with it (../keys.py has the table). Scripts that have no experiment use only the time from here.
--
-- Rules that all scripts keep
--   1. Everything is validated before the first write: a refused call has changed nothing.
--   2. The clock is the server's. Times are whole microseconds (exact in a double until 2255).
--   3. An absent hash means a deleted experiment: answer 'unknown', write nothing.
--   4. No user's number becomes a Lua number: configs, metrics, … travel as JSON text made by the
--      client. cjson only sees strings. Tokens are compared as strings of digits.
--   5. Decision-relevant entries move `last`: scheduled, completed, final failures, life cycle.
--   6. An order to the whole experiment is kept with its answer for ever (`obey`): a repeated one
--      must not undo what was ordered since.
--
-- States of the experiment: 'open', 'paused' (nothing is scheduled, due or claimed; what runs goes
-- on), 'finished' and 'cancelled' (nothing runs). extend and retry open what is finished again. An
-- open one that is `ending` (finish.lua) drains what runs, and nothing is due or claimed.
--
-- States of a trial's record                  event                          to
--   absent    no such trial                   schedule (rung 0)              QUEUED
--   QUEUED    open, wants a worker            claim                          RUNNING
--                                             claim, checkpoint at target    IDLE
--   RUNNING   open, one token holds it        complete                       IDLE
--                                             suspend, retry, loss           QUEUED (attempt + 1)
--                                             refuse, before its start       QUEUED (same attempt)
--                                             final failure                  FINAL
--   IDLE      waits in its rung               schedule (rung + 1)            QUEUED (attempt 1)
--   FINAL     failed for good                 retry                          QUEUED (attempt + 1)
--   CANCELLED was open when the experiment was cancelled (by which QUEUED and RUNNING come here)
-- `queued` and `running` hold exactly the trials in the states of these names.
--
-- Every claim that is started ends in exactly one entry: completed, suspended, failed or lost (a
-- loss that reaches its limit is a final `failed`). A claim never started may end by `lost`, too.

if KEYS[1] ~= 'asha:call:' .. SCRIPT then
  return redis.error_reply('ILLEGAL a call of ' .. SCRIPT .. ' names ' .. tostring(KEYS[1]))
end
local words, KEYS, ARGV = ARGV, {}, {}
for i = 2, #words do
  local group = i <= words[1] + 1 and KEYS or ARGV
  group[#group + 1] = words[i]
end

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local at = string.format('%d.%06d', time[1], time[2])

local experiment = KEYS[1]
local queued, running = experiment .. ':queued', experiment .. ':running'
local ENDED = {finished = true, cancelled = true}

local function digits(number) return string.format('%.0f', number) end

local function illegal(message) return redis.error_reply('ILLEGAL ' .. message) end

local function absent() return redis.call('EXISTS', experiment) == 0 end

local function append(kind, members, relevant)
  local id = redis.call('XADD', experiment .. ':journal', '*',
    'v', FORMAT, 'type', kind, 'at', at, 'data', '{' .. members .. '}')
  if relevant then redis.call('HSET', experiment, 'last', id) end
end

-- Why a decision cannot be written (an answer), or nil. The request comes first: a repeated call
-- must hear 'ok' although its own entries have moved `last`.
local function undecidable(last, request)
  local state, present, done = unpack(redis.call('HMGET', experiment, 'state', 'last', 'request'))
  if not state then return 'unknown' end
  if done == request then return 'ok' end
  if state ~= 'open' then return state end
  if present ~= last then return 'stale' end
end

-- The answer to an order that is void or was obeyed before, or nil and the experiment's state.
local function obeyed(request)
  local state = redis.call('HGET', experiment, 'state')
  if not state then return 'unknown' end
  return redis.call('HGET', experiment .. ':orders', request) or nil, state
end

local function obey(request, answer)
  redis.call('HSET', experiment .. ':orders', request, answer)
  return answer
end

local FIELDS = {'state', 'bracket', 'rung', 'target', 'attempt', 'token', 'claim', 'worker',
  'started', 'ended_token', 'ended_claim', 'ended_how', 'failures', 'losses', 'unwitnessed',
  'lost_at', 'avoid', 'avoid_until', 'evicted'}

-- The trial's record as a table of strings ('' = never set), or nil.
local function record(trial)
  local key = experiment .. ':trial:' .. trial
  local values = redis.call('HMGET', key, unpack(FIELDS))
  if not values[1] then return nil end
  local r = {key = key, trial = trial, checkpoints = experiment .. ':checkpoints:' .. trial}
  for i, name in ipairs(FIELDS) do r[name] = values[i] or '' end
  return r
end

local function count(r, name) return tonumber(r[name]) or 0 end

-- The record that `token` holds, or nil and the answer: `repeated` maps how the claim ended to the
-- answer that its end gave; any other token is a zombie's. So is one whose `started` is not in the
-- journal (unless the caller is about to write it): the store was rolled back to before it.
local function fenced(trial, token, repeated, starting)
  if absent() then return nil, 'unknown' end
  local r = record(trial)
  if r and r.state == 'RUNNING' and r.token == token and (starting or r.started == token) then
    return r
  end
  local answer = r and r.ended_token == token and repeated[r.ended_how]
  if answer then return nil, answer end
  redis.call('HINCRBY', experiment, 'stale', 1)
  return nil, 'stale'
end

-- The newest checkpoint {path, resource, token, metrics, text}, all strings, or nil.
local function newest(r)
  local text = redis.call('LINDEX', r.checkpoints, -1)
  return text and cjson.decode(text)
end

-- Adds a checkpoint unless it is a late or doubled one.
local function push(r, path, resource, metrics, text)
  local last = newest(r)
  if last and (last.path == path or tonumber(last.resource) > tonumber(resource)) then return end
  redis.call('RPUSH', r.checkpoints, cjson.encode(
    {path = path, resource = resource, token = r.token, metrics = metrics, text = text}))
end

-- Why a segment cannot end (or be saved) like this, or nil.
local function misfit(r, reached, path, resource)
  local name = 'trial ' .. r.trial .. ' rung ' .. r.rung
  if reached ~= '' and tonumber(reached) > tonumber(r.target) then
    return illegal(name .. ' reached ' .. reached .. ', beyond its target ' .. r.target)
  end
  if path ~= '' and tonumber(resource) > tonumber(r.target) then
    return illegal(name .. ' has a checkpoint at ' .. resource ..
      ', beyond its target ' .. r.target)
  end
end

-- The members that begin every entry of a claimed segment.
local function head(r, token, worker)
  return '"trial":' .. r.trial .. ',"rung":' .. r.rung .. ',"attempt":' .. r.attempt ..
    ',"token":' .. token .. ',"worker":' .. cjson.encode(worker) .. ','
end

-- Journals that a claim trains from `start`: what it restores was verified, or there is nothing.
local function begin(r, token, start)
  if count(r, 'evicted') > tonumber(start) then
    append('warning', '"trial":' .. r.trial .. ',"rung":' .. r.rung .. ',"what":' .. cjson.encode(
      'its checkpoint at ' .. r.evicted .. ' was evicted, it trains again from ' .. start))
  end
  append('started', head(r, token, r.worker) .. '"start":' .. start)
  redis.call('HSET', r.key, 'started', token, 'evicted', 0)
  redis.call('HDEL', experiment .. ':refusals', r.worker)
end

-- Whether this is the restore that was begun last, and not ended.
local function restoring(request)
  return absent() and redis.call('HGET', experiment .. ':restoring', 'request') == request
end

-- Ends the present claim; `how` answers those who ask again.
local function close(r, state, how)
  redis.call('HSET', r.key, 'state', state,
    'ended_token', r.token, 'ended_claim', r.claim, 'ended_how', how)
  redis.call('ZREM', running, r.trial)
end

-- Opens an attempt: journals `scheduled`, QUEUED, due for publication now; `...` are more fields of
-- the record and their values.
local function open(r, config, ...)
  append('scheduled', '"trial":' .. r.trial .. ',"bracket":' .. r.bracket .. ',"rung":' .. r.rung ..
    ',"target":' .. r.target .. ',"attempt":' .. r.attempt .. ',"config":' .. config, true)
  redis.call('HSET', r.key, 'state', 'QUEUED', 'attempt', r.attempt, 'publications', 0, ...)
  redis.call('ZADD', queued, digits(now), r.trial)
end

-- Its message came, to a worker that cannot take it: it is due soon, as if never published.
local function refused(r)
  redis.call('HSET', r.key, 'publications', 0)
  redis.call('ZADD', queued, digits(now + REFUSED_AGAIN), r.trial)
end

-- Everything that is queued is due now, as if never sent: its messages were refused meanwhile.
local function all_due()
  for _, trial in ipairs(redis.call('ZRANGE', queued, 0, -1)) do
    redis.call('HSET', experiment .. ':trial:' .. trial, 'publications', 0)
    redis.call('ZADD', queued, digits(now), trial)
  end
end

local function again(r)
  r.attempt = digits(r.attempt + 1)
  open(r, redis.call('HGET', r.key, 'config'))
end

-- Ends a claim whose process is gone, and schedules again or, at the limit, fails for good.
--   witness 'death'   seen to die unasked: POISON_LIMIT times without progress is final
--   witness 'nobody'  its lease ran out: UNWITNESSED_LIMIT times without progress is final
--   witness 'asked'   preempted, drained: costs nothing
-- Progress is a newest checkpoint further than at the loss before; it resets both counts.
local function lose(r, reason, witness)
  local checkpoint = newest(r)
  local reached = checkpoint and checkpoint.resource or '0'
  local losses, unwitnessed = count(r, 'losses'), count(r, 'unwitnessed')
  if tonumber(reached) > count(r, 'lost_at') then losses, unwitnessed = 0, 0 end
  if witness == 'death' then losses = losses + 1 end
  if witness == 'nobody' then unwitnessed = unwitnessed + 1 end
  redis.call('HSET', r.key, 'losses', losses, 'unwitnessed', unwitnessed, 'lost_at', reached)
  local rest = ',"witness":"' .. witness .. '","reached":' .. reached ..
    ',"checkpoint":' .. (checkpoint and checkpoint.text or 'null')
  local error
  if losses >= POISON_LIMIT then
    error = 'its process died ' .. losses .. ' times without progress, last: ' .. reason
  elseif unwitnessed >= UNWITNESSED_LIMIT then
    error = 'it was lost ' .. unwitnessed .. ' times without progress, last: ' .. reason
  end
  if error then
    close(r, 'FINAL', 'lost')
    append('failed', head(r, r.token, r.worker) ..
      '"error":' .. cjson.encode(error) .. ',"final":true' .. rest, true)
  else
    close(r, 'QUEUED', 'lost')
    append('lost', head(r, r.token, r.worker) .. '"reason":' .. cjson.encode(reason) .. rest)
    again(r)
  end
end

-- Troubles of workers. A worker on which IN_A_ROW different trials have failed one after the other,
-- one of which was then trained elsewhere, is set aside: it, and not the programs, is to blame. So
-- is one that cannot write its checkpoints. Each time it rests twice as long, from ASIDE up to
-- ASIDE_MAX. A segment that it completes ends its troubles, and so does a checkpoint, if that is all
-- that it could not do.

-- What is wrong with a worker, all strings: how many trials have `failed` in a row, the last `trial`
-- of them, the one that was trained elsewhere (`blamed`), the `reason` and length of its last `pause`.
local function troubles(key, worker)
  local text = redis.call('HGET', key, worker)
  return text and cjson.decode(text)
    or {failed = '0', trial = '', blamed = '', reason = '', pause = '0'}
end

local function rest(key, aside, worker, t, reason)
  local pause = math.min(math.max(ASIDE, 2 * t.pause), ASIDE_MAX)
  t.pause, t.reason = digits(pause), reason
  redis.call('HSET', key, worker, cjson.encode(t))
  redis.call('ZADD', aside, digits(now + pause), worker)
end

-- Ends the troubles of a worker; or only those of one on which nothing has failed.
local function recover(key, aside, worker, unless_failed)
  if unless_failed and troubles(key, worker).failed ~= '0' then return end
  redis.call('HDEL', key, worker)
  redis.call('ZREM', aside, worker)
end

-- Notes a failure (`trial`) of a worker, or that what has failed there was trained elsewhere
-- (`blamed`), and sets it aside if that is enough.
local function blame(key, aside, worker, trial, blamed)
  local t = troubles(key, worker)
  if trial and t.trial ~= trial then t.failed, t.trial = digits(t.failed + 1), trial end
  if blamed and t.failed ~= '0' then t.blamed = blamed end
  if tonumber(t.failed) >= IN_A_ROW and t.blamed ~= '' then
    rest(key, aside, worker, t, t.failed .. ' trials in a row have failed on it, of which ' ..
      t.blamed .. ' was trained elsewhere: look at its device and its log')
  elseif t.failed ~= '0' then
    redis.call('HSET', key, worker, cjson.encode(t))
  end
end
