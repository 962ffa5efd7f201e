-- audit: what the scripts share that somebody must answer for: an entry of the partition's audit log.
--
-- ARGV[#ARGV - 1]  rank of the caller's role
-- ARGV[#ARGV]      where the caller is, or '' if that is not known; both are the last arguments of each
--                  of these scripts
--
-- An entry's hash is SHA-256 over the hash of the entry before it (64 zeros before the first) and its own content: the
-- partition, the sequence number, the time, actor, origin, action, subject, and name and text of each detail in the order
-- of the names' bytes. Each stands as a netstring, `<bytes>:<text>,`, so that no two contents are written alike.
local RANK, ORIGIN = ARGV[#ARGV - 1], ARGV[#ARGV]

local function netstring(text)
  return #text .. ':' .. text .. ','
end

-- By bytes: what `<` says of texts depends on the server's locale.
local function is_before(one, other)
  for at = 1, math.min(#one, #other) do
    local first, second = string.byte(one, at), string.byte(other, at)
    if first ~= second then
      return first < second
    end
  end
  return #one < #other
end

-- The newest entry: its sequence number, time and hash.
local audited

local function read_audited()
  local head = read_fields(P .. 'audit:head', { 'sequence', 'at', 'hash' })
  -- The head may be lost; an id that is not behind the newest would be refused.
  local newest = redis.call('XREVRANGE', P .. 'audit', '+', '-', 'COUNT', 1)[1]
  local last = newest and tonumber(string.match(newest[1], '^%d+')) or 0
  typed[P .. 'audit'] = true
  return {
    sequence = tonumber(head[1] or 0) or 0, at = math.max(tonumber(head[2] or 0) or 0, last),
    hash = head[3] or string.rep('0', 64),
  }
end

-- Notes that ACTOR did `action` to `subject`; `details`: names to texts.
local function audit(action, subject, details)
  local log = P .. 'audit'
  audited = audited or read_audited()
  local sequence, previous = TEXT[audited.sequence + 1], audited.hash
  -- Never back, even if the clock goes.
  local at = math.max(NOW, audited.at)
  local content = { previous, string.match(P, '{(%d+)}'), sequence, iso(at), ACTOR, ORIGIN, action, subject }
  local names = {}
  for name in pairs(details) do
    names[#names + 1] = name
  end
  table.sort(names, is_before)
  for _, name in ipairs(names) do
    content[#content + 1], content[#content + 2] = name, details[name]
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

-- The text of a JSON string; nil of ''.
local function plain(json)
  return json ~= '' and cjson.decode(json) or nil
end
