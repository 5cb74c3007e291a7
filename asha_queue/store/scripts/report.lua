-- report(experiment, live; point …) → 'ok' | 'unknown'
--
-- KEYS[1]  the experiment's hash
-- KEYS[2]  its live stream, kept at about LIVE_POINTS entries
-- ARGV     points, each JSON text

if absent() then return 'unknown' end
for _, point in ipairs(ARGV) do
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', LIVE_POINTS, '*', 'data', point)
end
return 'ok'
