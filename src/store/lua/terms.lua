-- terms: what the submitted tasks of a batch have in common.
-- Needs  clocks, ranks

-- The terms of tasks by their text: the caller, the head start, the SLA and the facts. Most tasks
-- of a batch have the same, and start now.
local known_terms

local function begin_terms()
  known_terms = {}
end

-- Returns a given time, or one that is so long after another; nil if there is none.
local function time_from(start, time)
  return sub(time, 1, 1) == '+' and start + sub(time, 2) or tonumber(time)
end

-- Returns what the tasks with these terms that start at this time have in common.
local function begin_at(terms, start)
  local start_by, finish_by = time_from(start, terms.start), time_from(start, terms.finish)
  local timer = first_timer(start, start_by, finish_by, terms.percent)
  local deadlines = (start_by and TEXT[start_by] or NO_TIME)
    .. (finish_by and TEXT[finish_by] or NO_TIME)
  return {
    times = now .. timer .. rank_text(start - terms.head_start), timer = timer, contents = {},
    promise = TEXT[start] .. deadlines .. ' ' .. terms.percent .. ' ' .. terms.stands .. ' ',
    rules = terms.actions .. ' ' .. terms.target,
  }
end

-- Returns the terms of this text, which are new in this call.
local function terms_in(text)
  local terms = cut_terms(text)
  terms.status = status_of('- ' .. NEW .. ' ' .. string.match(text, '\n(.*)$'))
  -- The status of tasks with timers of their own.
  terms.owning = derive(terms.status)
  terms.owning.sla, terms.owning.text = OWN, false
  terms.at_once = begin_at(terms, NOW)
  known_terms[text] = terms
  return terms
end

-- Returns the content of a task: most have no words of their own.
local function content_of(begun, bytes, own)
  local content = not own and begun.contents[bytes]
  if not content then
    -- Without own words the rest is as in a new record.
    local words = begun.rules .. (own and ' ' .. own or sub(NEW_CONTENT, #'- -' + 1))
    content = '\t' .. string.format(BYTES_FORMAT, bytes) .. begun.promise
      .. (words == NEW_CONTENT and NEW or words)
    begun.contents[bytes] = not own and content
  end
  return content
end
