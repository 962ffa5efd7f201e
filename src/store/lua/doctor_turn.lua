-- doctor_turn: takes or keeps the turn of the background doctor, and records its results.
-- Needs  finish
--
-- ARGV[5]  holder
-- ARGV[6]  after how long without a call another holder starts a new check, ms
-- ARGV[7]  the shortest time from the start of one check to the start of the next, ms
-- ARGV[8]  how many findings the check had that ended just now, or ''
-- ARGV[9…]  2 for each kind of the findings that the holder logged since its last call: the kind, how
--          many
--
-- Returns  in how many ms to call again (0: continue the check), and 1 if a check starts else 0
local key = P .. 'doctor'
local f = redis.call('HMGET', key, 'holder', 'until', 'due')
local holder, busy_until, due = f[1], tonumber(f[2] or 0), tonumber(f[3] or 0)
local kinds, counts = {}, {}
for i = 9, #ARGV, 2 do
  kinds[#kinds + 1], counts[#counts + 1] = 'found:' .. ARGV[i], ARGV[i + 1]
end
if #kinds > 0 then
  add(key, kinds, counts)
end
if holder == ARGV[5] then
  if ARGV[8] == '' then
    write('HSET', key, { 'until', TEXT[NOW + ARGV[6]] })
    finish()
    return { 0, 0 }
  end
  write('HSET', key, { 'findings', ARGV[8], 'finished', now })
  add(key, { 'checks' }, { 1 })
  write('HDEL', key, { 'holder', 'until' })
  finish()
  return { math.max(due - NOW, 1), 0 }
end
-- A clock that went back must not delay the next check for ever.
local wait = math.min(math.max(holder and busy_until - NOW or 0, due - NOW), tonumber(ARGV[7]))
if wait > 0 then
  finish()
  return { wait, 0 }
end
write('HSET', key, { 'holder', ARGV[5], 'until', TEXT[NOW + ARGV[6]], 'due', TEXT[NOW + ARGV[7]] })
finish()
return { 0, 1 }
