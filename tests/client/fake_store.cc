#include "client/fake_store.h"

#include <charconv>

namespace gyre {
namespace {

std::optional<std::int64_t> ToInteger(const std::string& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

void Fail(std::uint32_t code, const std::string& message, wire::Value& reply) {
  reply.mutable_error()->set_code(code);
  reply.mutable_error()->set_message(message);
}

}  // namespace

std::size_t FakeStore::size() const {
  const std::scoped_lock lock(mutex_);
  return items_.size();
}

std::optional<std::string> FakeStore::Get(const std::string& key) const {
  const std::scoped_lock lock(mutex_);
  const auto item = items_.find(key);
  if (item == items_.end()) return std::nullopt;
  return item->second.value;
}

void FakeStore::Put(const std::string& key, const std::string& value) {
  const std::scoped_lock lock(mutex_);
  items_[key] = {value, 0, next_version_++, 0};
}

void FakeStore::AddRecord(const std::string& key, const Item& item, wire::Value& reply) {
  wire::Record* record = reply.mutable_record();
  record->set_key(key);
  record->set_value(item.value);
  record->set_flags(item.flags);
  record->set_version(item.version);
}

void FakeStore::Set(const std::vector<std::string>& args, wire::Value& reply) {
  const auto old = items_.find(args[1]);
  const bool exists = old != items_.end();
  Item item{args[2], 0, 0, 0};
  bool allowed = true;
  for (std::size_t i = 3; i < args.size(); ++i) {
    const std::string& option = args[i];
    if (option == "NX") allowed = !exists;
    if (option == "XX") allowed = exists;
    if (option == "KEEPTTL" && exists) item.ttl_ms = old->second.ttl_ms;
    if (option == "PX") item.ttl_ms = *ToInteger(args[++i]);
    if (option == "PXAT") item.expiry_ms = *ToInteger(args[++i]);
    if (option == "EX") item.ttl_ms = *ToInteger(args[++i]) * 1000;
  }
  if (!allowed) return reply.set_null(true);
  item.version = next_version_++;
  items_[args[1]] = std::move(item);
  reply.set_outcome(wire::OK);
}

void FakeStore::Store(const std::vector<std::string>& args, wire::Value& reply) {
  const auto old = items_.find(args[1]);
  const bool exists = old != items_.end();
  if (args[0] == "mc.add" && exists) return reply.set_outcome(wire::NOT_STORED);
  if (args[0] == "mc.replace" && !exists) return reply.set_outcome(wire::NOT_STORED);
  if (args[0] == "mc.cas") {
    if (!exists) return reply.set_outcome(wire::NOT_FOUND);
    if (std::to_string(old->second.version) != args[4]) return reply.set_outcome(wire::EXISTS);
  }
  items_[args[1]] = {args.back(), static_cast<std::uint32_t>(*ToInteger(args[2])), next_version_++,
                     *ToInteger(args[3]) * 1000};
  reply.set_outcome(wire::STORED);
}

bool FakeStore::Execute(const std::vector<std::string>& args, wire::Value& reply) {
  const std::scoped_lock lock(mutex_);
  const std::string& name = args[0];
  const auto item = args.size() > 1 ? items_.find(args[1]) : items_.end();
  const bool exists = item != items_.end();
  if (name == "GET") {
    exists ? AddRecord(args[1], item->second, reply) : reply.set_null(true);
  } else if (name == "SET") {
    Set(args, reply);
  } else if (name.starts_with("mc.")) {
    Store(args, reply);
  } else if (name == "DEL") {
    reply.set_integer(static_cast<std::int64_t>(items_.erase(args[1])));
  } else if (name == "EXISTS" || name == "TOUCH") {
    reply.set_integer(exists ? 1 : 0);
  } else if (name == "STRLEN") {
    reply.set_integer(exists ? static_cast<std::int64_t>(item->second.value.size()) : 0);
  } else if (name == "INCRBY") {
    const auto old = exists ? ToInteger(item->second.value) : std::optional<std::int64_t>(0);
    if (!old) {
      Fail(15, "the value is not an integer", reply);
    } else {
      const std::int64_t sum = *old + *ToInteger(args[2]);
      items_[args[1]] = {std::to_string(sum), 0, next_version_++, 0};
      reply.set_integer(sum);
    }
  } else if (name == "APPEND") {
    Item& appended = items_[args[1]];
    appended.value += args[2];
    appended.version = next_version_++;
    reply.set_integer(static_cast<std::int64_t>(appended.value.size()));
  } else if (name == "PEXPIRE") {
    if (exists) item->second.ttl_ms = *ToInteger(args[2]);
    reply.set_integer(exists ? 1 : 0);
  } else if (name == "PERSIST") {
    const bool had = exists && item->second.ttl_ms != 0;
    if (had) item->second.ttl_ms = 0;
    reply.set_integer(had ? 1 : 0);
  } else if (name == "PTTL") {
    reply.set_integer(!exists ? -2 : item->second.ttl_ms == 0 ? -1 : item->second.ttl_ms);
  } else if (name == "PEXPIRETIME") {
    reply.set_integer(!exists ? -2 : item->second.expiry_ms == 0 ? -1 : item->second.expiry_ms);
  } else if (name == "KEYS") {
    wire::List* list = reply.mutable_list();
    for (const auto& [key, unused] : items_) list->add_values()->set_bulk(key);
  } else if (name == "SCAN") {
    wire::List* list = reply.mutable_list();
    list->add_values()->set_bulk("0");
    wire::List* keys = list->add_values()->mutable_list();
    for (const auto& [key, unused] : items_) keys->add_values()->set_bulk(key);
  } else if (name == "DBSIZE") {
    reply.set_integer(static_cast<std::int64_t>(items_.size()));
  } else if (name == "FLUSHALL") {
    items_.clear();
    reply.set_outcome(wire::OK);
  } else {
    return false;
  }
  return true;
}

}  // namespace gyre
