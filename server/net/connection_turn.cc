// A turn of the loop: what was read of several connections is decoded and executed together, then
// each of them writes.
#include <algorithm>
#include <cassert>
#include <new>
#include <utility>

#include "net/connection.h"

namespace gyre {
namespace {

// Of the system's, that is: the memory for clients was not used up.
Error NoMemoryLeft() {
  return {ErrorCode::kOutOfMemory,
          "the system has no memory left for the request: this process may have less than --memory "
          "and --client-memory (see ulimit -v)"};
}

}  // namespace

// ---- Of all that were read ---------------------------------------------------------------------

void ConnectionContext::JoinTurn(Connection& connection, const char* end) {
  if (turn_size_++ == 0) turn_.Schedule();
  if (end != nullptr) scratch_used_ = static_cast<std::size_t>(end - scratch_.get());
  ready.PushBack(connection);
}

void ConnectionContext::RunTurn() {
  if (turn_size_ == 0) return;
  turn_.Cancel();
  if (pause_detector != nullptr) {
    // Where there is but one, no time has passed.
    const std::uint32_t pauses =
        pause_detector->Pauses(turn_size_ == 1 ? turn_began_ : loop.exact_now());
    ready.ForEach([pauses](Connection& connection) { connection.NotePause(pauses); });
  }
  while (!ready.empty()) {
    const bool spent = spent_iteration_ == loop.now();
    const Connection* const end = spent ? nullptr : Execute(ready);
    do {
      Connection& connection = ready.PopFront();
      if (spent) connection.Postpone();
      connection.Flush();
    } while (ready.first() != end);
  }
  scratch_used_ = turn_size_ = 0;
  KeepMemory();
}

Connection* ConnectionContext::Execute(IntrusiveList<Connection, ReadyTag>& connections) {
  executing = true;
  ReadClock();
  Connection* next = connections.first();
  Handler& handler = next->handler();
  next->BeginExecution();
  bool left_out = false;  // of what the handler looked at
  bool over = false;
  while (next != nullptr && &next->handler() == &handler && !over) {
    while (next != nullptr && &next->handler() == &handler && next->DecodeAhead(read_ahead_)) {
      next = connections.After(*next);
      if (next != nullptr) next->BeginExecution();
    }
    if (read_ahead_.count > 1 || left_out) handler.LookAhead(read_ahead_.view());
    left_out = false;
    Connection* stopped = nullptr;  // the first whose part is not executed
    for (std::size_t i = 0; i < read_ahead_.parts_count; ++i) {
      ReadAhead::Part& part = read_ahead_.parts[i];
      if (over) {
        part.connection->Rewind();
        if (stopped == nullptr) stopped = part.connection;
        continue;
      }
      if (!part.connection->ExecutePart(read_ahead_, part)) left_out = true;
      over = IsTurnOver(turn_now);
    }
    read_ahead_.Clear();
    if (stopped != nullptr) {
      next = stopped;
    } else if (over && next != nullptr && next->YieldTurn()) {
      next = connections.After(*next);
    }
  }
  for (Connection* each = connections.first(); each != next; each = connections.After(*each)) {
    each->EndExecution();
  }
  if (over) spent_iteration_ = loop.now();
  handler.EndOfBatch();
  executing = false;
  return next;
}

// ---- Of one connection -------------------------------------------------------------------------

void Connection::ExecuteInput() {
  IntrusiveList<Connection, ReadyTag> alone;
  alone.PushBack(*this);
  context_.Execute(alone);
  alone.PopFront();
}

void Connection::BeginExecution() {
  turn_ = {.input = fresh_.empty() ? input_.view() : fresh_};
  wanted_ = 0;
  deferred_ = 0;
}

bool Connection::DecodeAhead(ReadAhead& ahead) {
  if (turn_.over || turn_.done == turn_.input.size() || ending_ || PauseIfNeeded()) return true;
  if (ahead.full()) return false;
  ReadAhead::Part& part = ahead.Add(*this, turn_.done);
  std::string_view rest = turn_.input.substr(part.end);
  do {
    Request& request = ahead.requests[ahead.count];
    request.Clear();  // what an earlier request, perhaps of another connection, left in it
    Decoded decoded;
    try {
      decoded = codec_->Decode(rest, request);
    } catch (const std::bad_alloc&) {  // of very many arguments
      decoded = {.status = Decoded::Status::kMalformed, .error = NoMemoryLeft()};
    }
    assert(decoded.consumed <= rest.size());
    if (decoded.status == Decoded::Status::kRequest) [[likely]] {
      request.waited = part.end < waited_bytes_;
      ahead.ends[ahead.count++] = part.end + decoded.consumed;
      ++part.count;
    }
    part.end += decoded.consumed;
    rest.remove_prefix(decoded.consumed);
    if (decoded.status != Decoded::Status::kRequest && decoded.status != Decoded::Status::kSkip) {
      part.stop = std::move(decoded);
      return part.stop.status == Decoded::Status::kNeedMore;
    }
  } while (!rest.empty() && ahead.count < ReadAhead::kRequestsMax && codec_->MayReadAhead(rest));
  return rest.empty();
}

bool Connection::ExecutePart(const ReadAhead& ahead, ReadAhead::Part& part) {
  std::size_t executed = 0;
  while (executed < part.count && !ending_ && !PauseIfNeeded() && !TurnIsOver()) {
    const std::size_t output_before = output_bytes_;
    if (!HandleRequest(ahead.requests[part.first + executed])) break;
    const std::size_t end = ahead.ends[part.first + executed++];
    context_.NoteExecuted(end - turn_.done + output_bytes_ - output_before);
    turn_.done = end;
  }
  turn_.requests += executed;
  traffic_->request_bytes.RecordMany(turn_.done - part.begin, executed);
  if (executed > 0) starved_from_ = {};
  const bool all = executed == part.count;
  if (ending_) return all;
  const bool fails = part.stop.status == Decoded::Status::kError ||
                     part.stop.status == Decoded::Status::kMalformed;
  if (!all || (fails && executed > 0 && PauseIfNeeded())) {
    codec_->Rewind();  // the rest is decoded again when its turn comes
    turn_.over = true;
    return all;
  }
  turn_.done = part.end;
  switch (part.stop.status) {
    case Decoded::Status::kRequest:
    case Decoded::Status::kSkip:
      break;
    case Decoded::Status::kNeedMore:
      turn_.over = true;
      wanted_ = part.stop.wanted;
      if (turn_.done + ClientMemory::kSmallBytes < turn_.input.size() &&
          !codec_bytes_.Set(codec_->held_bytes())) {
        Starve(codec_->held_bytes());
      }
      break;
    case Decoded::Status::kError:
      ReplyError(ahead.requests[part.first + part.count], part.stop.error);
      break;
    case Decoded::Status::kMalformed:
      context_.counters[&ServerStats::protocol_errors].Add(1);
      NoteMalformed(part.stop.error);
      ReplyError(ahead.requests[part.first + part.count], part.stop.error);
      ending_ = true;
      break;
  }
  return true;
}

// In an iteration that has executed long enough.
void Connection::Postpone() {
  if (!awaits_turn()) context_.AwaitTurn(*this);
  if (!fresh_.empty()) KeepRest(std::exchange(fresh_, {}));
}

// In a turn that took long enough. False: it did nothing in it so far.
bool Connection::YieldTurn() {
  if (turn_.done == 0 && !turn_.over && !ending_) return false;
  if (turn_.done < turn_.input.size() && !turn_.over && !ending_ && !awaits_turn()) {
    context_.AwaitTurn(*this);
  }
  return true;
}

// A connection makes some progress in each turn, even where others have used it up.
bool Connection::TurnIsOver() {
  const TimePoint now = context_.turn_now;
  if (turn_.began == TimePoint{}) turn_.began = now;
  if (now == turn_.began || !context_.IsTurnOver(now)) return false;
  if (!awaits_turn()) context_.AwaitTurn(*this);
  return true;
}

void Connection::EndExecution() {
  if (turn_.requests > deferred_) {
    context_.traffic.Answered(*traffic_, active_at_, turn_.requests - deferred_);
  }
  context_.counters[&ServerStats::requests].Add(turn_.requests);
  context_.loop.NoteRequests(turn_.requests);
  session_.commands.store(session_.commands.load(std::memory_order_relaxed) + turn_.requests,
                          std::memory_order_relaxed);
  waited_bytes_ -= std::min(waited_bytes_, turn_.done);
  const std::string_view rest = ending_ ? std::string_view() : turn_.input.substr(turn_.done);
  if (fresh_.empty()) {
    input_.Consume(input_.size() - rest.size());
    if (input_.empty()) GiveInput();
  } else if (!rest.empty()) {
    KeepRest(rest);
  }
  fresh_ = {};
}

}  // namespace gyre
