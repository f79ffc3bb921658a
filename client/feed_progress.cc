#include "client/feed_progress.h"

#include <charconv>
#include <string_view>
#include <utility>

namespace gyre::client {
namespace {

Error Malformed(const char* what) {
  return {ErrorCode::kProtocol, std::string("a node's message of the feed is not understood: ") +
                                    what + "; are its release and this one adjacent?"};
}

}  // namespace

FeedProgress::FeedProgress(FeedCursor begin, bool values)
    : values_(values), partitions_(begin.size()) {
  for (std::size_t i = 0; i < begin.size(); ++i) {
    partitions_[i].received = partitions_[i].taken = begin[i];
    if (begin[i]) ++begun_count_;
  }
}

std::optional<FeedProgress::Place> FeedProgress::ParsePlace(const Value& value) const {
  const std::string_view text = value.text;
  Place place;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), place.partition);
  if (value.kind != Value::Kind::kBulk || error != std::errc() ||
      place.partition >= partitions_.size()) {
    return std::nullopt;
  }
  if (end == text.data() + text.size()) return place;
  place.position =
      FeedPosition::Parse(text.substr(static_cast<std::size_t>(end - text.data()) + 1));
  if (*end != '@' || !place.position) return std::nullopt;
  return place;
}

void FeedProgress::SetState(Partition& partition, State state) {
  read_count_ += static_cast<std::uint32_t>(state == State::kRead) -
                 static_cast<std::uint32_t>(partition.state == State::kRead);
  partition.state = state;
  if (state == State::kIdle) partition.source = 0;
}

// Of a detour: it led to its end, or it did not.
void FeedProgress::ToIdle(Partition& partition) {
  SetState(partition, State::kIdle);
  if (!partition.gap_end) return;
  if (*partition.received >= *partition.gap_end) {
    partition.gap_end.reset();
    partition.detours_failed = 0;
  } else {
    ++partition.detours_failed;
  }
}

void FeedProgress::TellGap(std::uint32_t index) {
  Partition& partition = partitions_[index];
  partition.received = std::exchange(partition.gap_end, std::nullopt);
  partition.detours_failed = 0;
  FeedEvent event{.kind = FeedEvent::Kind::kGap, .partition = index};
  events_.push_back({std::move(event), *partition.received});
}

std::string FeedProgress::Ask(std::uint32_t index, Source source) {
  Partition& partition = partitions_[index];
  SetState(partition, State::kAsked);
  partition.source = source;
  std::string place = std::to_string(index);
  if (partition.received) place += '@' + partition.received->ToString();
  if (partition.gap_end) place += ".." + partition.gap_end->ToString();
  return place;
}

std::optional<Error> FeedProgress::OnReply(Source source, std::span<const std::uint32_t> asked,
                                           const Value& reply) {
  if (reply.kind != Value::Kind::kArray) return Malformed("the reply is no list");
  for (const Value& element : reply.elements) {
    const std::optional<Place> place = ParsePlace(element);
    if (!place || !place->position) return Malformed("the reply has no places");
    Partition& partition = partitions_[place->partition];
    if (partition.source != source || partition.state != State::kAsked) continue;
    SetState(partition, State::kRead);
    if (partition.received) continue;
    partition.received = partition.taken = place->position;
    ++begun_count_;
  }
  for (const std::uint32_t index : asked) {
    Partition& partition = partitions_[index];
    if (partition.source == source && partition.state == State::kAsked) ToIdle(partition);
  }
  return {};
}

std::optional<Error> FeedProgress::OnPush(Source source, Value message) {
  std::vector<Value>& parts = message.elements;
  if (message.kind != Value::Kind::kArray || parts.size() < 2) return Malformed("it is no list");
  const std::string& word = parts[0].text;
  const std::optional<Place> place = ParsePlace(parts[1]);
  if (!place) return Malformed("it has no place");
  Partition& partition = partitions_[place->partition];
  if (partition.source != source || partition.state != State::kRead) return {};
  if (word == "moved") {
    ToIdle(partition);
    return {};
  }
  if (!place->position) return Malformed("its place has no position");
  if (word == "group") {
    if (*place->position <= *partition.received) return {};  // told already
    return OnGroup(*place, parts);
  }
  if (word == "at") {
    if (*place->position <= *partition.received) return {};
    partition.received = place->position;
    return {};
  }
  if (word == "gap") {
    partition.gap_end = place->position;
    // What was told and is no more, since another owner did not know it, no node can give back.
    if (*place->position <= *partition.received) {
      TellGap(place->partition);
    } else {
      SetState(partition, State::kIdle);
    }
    return {};
  }
  return {};  // of a newer release
}

std::optional<FeedEvent> FeedProgress::ReadChange(Value& change, bool values) {
  std::vector<Value>& parts = change.elements;
  if (change.kind != Value::Kind::kArray || parts.size() < 3 ||
      parts[1].kind != Value::Kind::kBulk || parts[2].kind != Value::Kind::kUnsigned) {
    return std::nullopt;
  }
  FeedEvent event;
  event.version = parts[2].unsigned_integer;
  event.key = std::move(parts[1].text);
  const std::string& word = parts[0].text;
  if (word == "remove") {
    event.kind = FeedEvent::Kind::kRemove;
  } else if (word == "flush") {
    event.kind = FeedEvent::Kind::kFlush;
  } else if (word != "set") {
    return std::nullopt;
  } else if (values) {
    if (parts.size() < 6 || parts[3].kind != Value::Kind::kBulk ||
        parts[4].kind != Value::Kind::kUnsigned || parts[5].kind != Value::Kind::kInteger) {
      return std::nullopt;
    }
    event.value = std::move(parts[3].text);
    event.flags = static_cast<std::uint32_t>(parts[4].unsigned_integer);
    event.expiry_ms = parts[5].integer;
  }
  return event;
}

std::optional<Error> FeedProgress::OnGroup(const Place& place, std::vector<Value>& message) {
  if (message.size() < 3) return Malformed("a group without a change");
  const std::size_t before = events_.size();
  for (std::size_t i = 2; i < message.size(); ++i) {
    std::optional<FeedEvent> event = ReadChange(message[i], values_);
    if (!event) {
      events_.resize(before);
      return Malformed("a change of a group");
    }
    event->partition = place.partition;
    event->ends_group = i + 1 == message.size();
    events_.push_back({std::move(*event), *place.position});
  }
  partitions_[place.partition].received = place.position;
  return {};
}

void FeedProgress::OnLost(Source source) {
  for (Partition& partition : partitions_) {
    if (partition.source == source) ToIdle(partition);
  }
}

FeedEvent FeedProgress::Take() {
  Waiting waiting = std::move(events_.front());
  events_.pop_front();
  if (waiting.event.ends_group) partitions_[waiting.event.partition].taken = waiting.position;
  return std::move(waiting.event);
}

FeedCursor FeedProgress::cursor() const {
  FeedCursor cursor;
  for (const Partition& partition : partitions_) {
    // What came behind the last event that waited, and had none for the caller.
    cursor.push_back(events_.empty() ? partition.received : partition.taken);
  }
  return cursor;
}

}  // namespace gyre::client
