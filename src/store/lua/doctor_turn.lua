-- doctor_turn: takes or keeps the turn of the background doctor, and records its results.
-- Needs  finish
--
-- ARGV[5]  holder
-- ARGV[6]  after how long without a call another holder starts a new check, ms
-- ARGV[7]  the shortest time from the start of one check to the start of the next, ms
-- ARGV[8]  how many findings the check had that ended just now, or ''
-- ARGV[9]  how many texts that check found under each key, JSON, or ''
-- ARGV[10…]  2 for each kind of the findings that the holder logged since its last call: the kind,
--           how many
--
-- Returns  in how many ms to call again (0: continue the check), and 1 if a check starts else 0
local key = P .. 'doctor'
local f = redis.call('HMGET', key, 'holder', 'until', 'due')
local holder, busy_until, due = f[1], tonumber(f[2] or 0), tonumber(f[3] or 0)
local kinds, counts = {}, {}
for i = 10, #ARGV, 2 do
  kinds[#kinds + 1], counts[#counts + 1] = 'found:' .. ARGV[i], ARGV[i + 1]
end
if #kinds > 0 then
  add(key, kinds, counts)
end
local busy_again = TEXT[NOW + ARGV[6]]
-- A clock that went back must not delay the next check for ever.
local wait = math.min(math.max(holder and busy_until - NOW or 0, due - NOW), tonumber(ARGV[7]))
local answer = { wait, 0 }
if holder == ARGV[5] and ARGV[8] == '' then
  write('HSET', key, { 'until', busy_again })
  answer = { 0, 0 }
elseif holder == ARGV[5] then
  write('HSET', key, { 'findings', ARGV[8], 'finished', now, 'texts', ARGV[9] })
  add(key, { 'checks' }, { 1 })
  write('HDEL', key, { 'holder', 'until' })
  answer = { math.max(due - NOW, 1), 0 }
elseif wait <= 0 then
  write('HSET', key, { 'holder', ARGV[5], 'until', busy_again, 'due', TEXT[NOW + ARGV[7]] })
  answer = { 0, 1 }
end
finish()
return answer
