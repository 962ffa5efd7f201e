-- credentials: records in the audit log which accepted credentials have changed since a gateway
-- last called this.
-- Needs  finish, audit
--
-- ARGV[5]   how many changes to record at most
-- ARGV[6…]  3 for each credential: subject, role or '', fingerprint
-- The last 2: see audit.lua.
--
-- Returns  how many changes were recorded
local key, noted = P .. 'credentials', 0
local known, is_given = by_name(redis.call('HGETALL', key)), {}

-- Returns the role and the fingerprint of a credential.
local function parts_of(credential)
  return string.match(credential, '^(%S+) (%S+)$')
end

local function note(action, subject, details)
  if noted < tonumber(ARGV[5]) then
    noted = noted + 1
    audit('key.' .. action, subject, details)
    return true
  end
end

for i = 6, #ARGV - 2, 3 do
  local subject, role, fingerprint = ARGV[i], given(ARGV[i + 1]) or '-', ARGV[i + 2]
  local credential = role .. ' ' .. fingerprint
  is_given[subject] = true
  if known[subject] ~= credential then
    local details = { role = role, fingerprint = fingerprint }
    if known[subject] then
      details.previous_role, details.previous_fingerprint = parts_of(known[subject])
    end
    if note(known[subject] and 'changed' or 'added', subject, details) then
      write('HSET', key, { subject, credential })
    end
  end
end
for subject, credential in pairs(known) do
  if not is_given[subject] then
    local role, fingerprint = parts_of(credential)
    if note('removed', subject, { role = role, fingerprint = fingerprint }) then
      write('HDEL', key, { subject })
    end
  end
end
finish()
return noted
