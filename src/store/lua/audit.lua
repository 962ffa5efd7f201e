-- audit: the shared part of the scripts that add an entry to the partition's audit log.
-- Needs  lists, sha256, time
--
-- ARGV[#ARGV - 1]  rank of the caller's role
-- ARGV[#ARGV]      address of the caller, or '' if it is unknown. These are the last two arguments
--                  of each of these scripts.
--
-- The hash of an entry is SHA-256 over the hash of the entry before it (64 zeros before the first)
-- and its own content: partition, sequence number, time, actor, origin, action, subject, and the
-- name and text of each detail in the byte order of the names. Each is a netstring,
-- `<bytes>:<text>,`, so that different contents are never written alike.
local ROLE
local ORIGIN

-- The newest entry of the log, as far as this call has read or added it.
local audited

local function begin_audit()
  ROLE, ORIGIN, audited = ARGV[#ARGV - 1], ARGV[#ARGV], nil
end

local function netstring(text)
  return #text .. ':' .. text .. ','
end

-- In byte order: `<` on texts depends on the locale of the server.
local function is_before(one, other)
  for at = 1, math.min(#one, #other) do
    local first, second = string.byte(one, at), string.byte(other, at)
    if first ~= second then
      return first < second
    end
  end
  return #one < #other
end

-- Returns the newest entry: its sequence number, time and hash.
local function read_audited()
  local head = read_fields(P .. 'audit:head', { 'sequence', 'at', 'hash' })
  -- The head may be lost, and Redis refuses an id that is not after the newest.
  local newest = redis.call('XREVRANGE', P .. 'audit', '+', '-', 'COUNT', 1)[1]
  local last = newest and tonumber(string.match(newest[1], '^%d+')) or 0
  typed[P .. 'audit'] = true
  return {
    sequence = tonumber(head[1] or 0) or 0, at = math.max(tonumber(head[2] or 0) or 0, last),
    hash = head[3] or string.rep('0', 64),
  }
end

-- Records that ACTOR did `action` to `subject`; `details` maps names to texts.
local function audit(action, subject, details)
  local log = P .. 'audit'
  audited = audited or read_audited()
  local sequence, previous = TEXT[audited.sequence + 1], audited.hash
  -- Never back, even if the clock goes back.
  local at = math.max(NOW, audited.at)
  local partition = string.match(P, '{(%d+)}')
  local content = { previous, partition, sequence, iso(at), ACTOR, ORIGIN, action, subject }
  local names = {}
  for name in pairs(details) do
    names[#names + 1] = name
  end
  table.sort(names, is_before)
  for _, name in ipairs(names) do
    push(content, name, details[name])
  end
  for nth, text in ipairs(content) do
    content[nth] = netstring(text)
  end
  local hash = sha256(table.concat(content))
  write('XADD', log, { TEXT[at] .. '-*', 'sequence', sequence, 'actor', ACTOR, 'origin', ORIGIN,
    'action', action, 'subject', subject, 'detail', cjson.encode(details), 'previous', previous,
    'hash', hash })
  write('HSET', log .. ':head', { 'sequence', sequence, 'at', TEXT[at], 'hash', hash })
  audited = { sequence = tonumber(sequence), at = at, hash = hash }
end

-- Returns the text of a JSON string; nil for ''.
local function plain(json)
  return json ~= '' and cjson.decode(json) or nil
end
