#include "command/pending_command.h"

#include <cstring>
#include <utility>

#include "command/command_keys.h"
#include "proto/limits.h"
#include "protocol/native_codec.h"

namespace gyre {
namespace {

constexpr std::uint8_t kImpatientTriesMax = 8;
// A forwarded read is given up and sent again after so long, then after twice as long, and so on.
constexpr Duration kReadPatience = std::chrono::milliseconds(250);
// A process that ends is known to be gone within milliseconds, for its links are reset.
constexpr Duration kDeathKnownWithin = std::chrono::milliseconds(300);

}  // namespace

OwnedRequest::OwnedRequest(const Request& like, Arguments args) {
  for (const std::string_view arg : args) bytes_ += arg.size();
  block_ = std::make_unique_for_overwrite<char[]>(bytes_);
  char* out = block_.get();
  request_.args.reserve(args.size());
  for (const std::string_view arg : args) {
    if (!arg.empty()) std::memcpy(out, arg.data(), arg.size());
    request_.args.emplace_back(out, arg.size());
    out += arg.size();
  }
  request_.hops = like.hops;
  request_.write_acks = like.write_acks;
  request_.deadline_ms = like.deadline_ms;
  request_.no_forward = like.no_forward;
}

std::size_t OwnedRequest::BytesOf(Arguments args) {
  std::size_t bytes = args.size() * sizeof(std::string_view);
  for (const std::string_view arg : args) bytes += arg.size();
  return bytes;
}

PendingCommand::Charge::Charge(std::shared_ptr<ClientMemoryShare> share, const Command& command,
                               Arguments args)
    : share_(std::move(share)), bytes_(2 * OwnedRequest::BytesOf(args)) {
  const std::size_t key_count = CountKeys(command, args);
  if (command.fold == Fold::kArray) bytes_ += 2 * args.size() * sizeof(Key);
  if (GoesInSteps(command, key_count)) bytes_ += 4 * key_count * sizeof(Key);
  if (!share_->TryTake(bytes_)) throw ClientMemoryFull(bytes_);
}

PendingCommand::PendingCommand(Charge charge, const Command& the_command, OwnedRequest the_request,
                               const Origin& the_origin, TimePoint the_deadline,
                               PendingReply the_reply)
    : command(the_command),
      request(std::move(the_request)),
      origin(the_origin),
      deadline(the_deadline),
      reply(std::move(the_reply)),
      charge_(std::move(charge)) {}

std::vector<std::string_view> PendingCommand::ArgsAt(
    const std::vector<std::uint32_t>& positions) const {
  const std::vector<std::string_view>& args = request->args;
  const std::size_t first = command.keys.first;
  const std::size_t step = command.keys.step;
  std::vector<std::string_view> part_args(args.begin(), args.begin() + first);
  for (const std::uint32_t position : positions) {
    const auto key = args.begin() + first + position * step;
    part_args.insert(part_args.end(), key, key + step);
  }
  return part_args;
}

PendingCommandPtr PendingCommand::Part(Arguments args, PendingReply part_reply) const {
  const auto part = std::make_shared<PendingCommand>(
      Charge(), command, OwnedRequest(*request, args), origin, deadline, std::move(part_reply));
  part->maybe_applied_ = maybe_applied_;
  return part;
}

void PendingCommand::Fail(const Error& error) {
  if (!maybe_applied_) return reply.FinishWithError(error);
  reply.FinishWithError({ErrorCode::kUnknownOutcome,
                         "the key's owner was lost while it had the command, which may or may not "
                         "have been executed: read the key before you repeat it; then: " +
                             error.message});
}

// ---- Tries --------------------------------------------------------------------------------------

PendingCommand::Try PendingCommand::BeginTry(const MemberInfo& to) {
  const bool repeats_write = command.Is(kWrite) && MayRepeat(command, request->args);
  const bool may_pass_on = std::exchange(may_pass_on_, false) || !repeats_write;
  return {.node = to.id, .incarnation = to.incarnation, .may_pass_on = may_pass_on};
}

std::string PendingCommand::Encode(const Try& attempt, std::uint32_t left_ms) {
  const std::uint32_t told_deadline_ms = std::exchange(request->deadline_ms, left_ms);
  const std::uint32_t told_hops = request->hops;
  request->hops = attempt.may_pass_on ? told_hops + 1 : kForwardHopsMax;
  std::string payload = EncodeRequest(*request);
  request->hops = told_hops;
  request->deadline_ms = told_deadline_ms;
  return payload;
}

Duration PendingCommand::Patience() const {
  return command.Is(kReadOnly) ? kReadPatience * (1U << impatient_tries_) : Duration::max();
}

void PendingCommand::OnRefused(const Try& attempt, ErrorCode code) {
  may_pass_on_ = code == ErrorCode::kNotOwner && !attempt.may_pass_on;
}

bool PendingCommand::OnLost(const Try& attempt, const Error& error, TimePoint now) {
  if (error.code == ErrorCode::kUnavailable) return true;  // it was never sent
  const bool writes = command.Is(kWrite);
  if (!MayRepeat(command, request->args) || (writes && attempt.may_pass_on)) {
    reply.FinishWithError(
        {ErrorCode::kUnknownOutcome,
         "the link to the key's owner failed before it answered; the command may or may not "
         "have been executed: read the key before you repeat it"});
    return false;
  }
  if (writes) {
    maybe_applied_ = true;
    lost_ = Lost{attempt, now};
  }
  if (impatient_tries_ < kImpatientTriesMax) ++impatient_tries_;
  return true;
}

PendingCommand::Standing PendingCommand::Reconsider(const ClusterView* view, TimePoint now) {
  if (!lost_) return Standing::kMayBeTried;
  const Standing standing = lost_->StandingBy(view, now);
  if (standing == Standing::kMayBeTried) lost_.reset();
  if (standing == Standing::kFailed) {
    Fail({ErrorCode::kUnknownOutcome, "the link to it failed"});
  }
  return standing;
}

PendingCommand::Standing PendingCommand::Lost::StandingBy(const ClusterView* view,
                                                          TimePoint now) const {
  const MemberIndex member = view == nullptr ? kNoMember : view->Find(attempt.node);
  if (member == kNoMember) return Standing::kMayBeTried;
  const MemberInfo& info = view->members[member];
  // One that was declared dead and yet lives (stopped, cut off) orders no writes until it knows, and
  // then it is no owner any more (self_fence.h).
  if (!info.serving() || info.incarnation > attempt.incarnation) return Standing::kMayBeTried;
  const bool may_die = info.state == MemberState::kSuspect;
  return may_die || now - at < kDeathKnownWithin ? Standing::kMustWait : Standing::kFailed;
}

}  // namespace gyre
