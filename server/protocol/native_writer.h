// Replies of the native protocol: one frame each (proto/frame.h), a wire::Reply or a
// wire::PeerReply in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "proto/frame.h"
#include "protocol/reply.h"
#include "protocol/request.h"

namespace gyre {

// Protobuf puts a message's length before it. The length of everything but a list is known when it
// begins, so it is written once, in its place and in the shortest form. A list's is not:
//
//    header (16)  [stale_ring]  value: tag, length  list: tag, length  elements ...  next
//    ^ begin_                               ^ padded             ^ padded: 5 bytes, by EndList
//
// Padding (a varint with leading zero groups, which every parser takes) costs up to 8 bytes a list
// and saves moving what follows: each byte is written once, however deep the lists nest.
class NativeWriter final : public ReplyWriter {
 public:
  // The reply to `request` goes to `out`.
  void Start(const Request& request, Buffer& out);
  // Messages, a frame each, to who subscribed with the request of this id.
  void StartPush(std::uint64_t request_id, Buffer& out);

  void Null() override;
  void Word(Outcome outcome) override;
  void Text(std::string_view line) override;
  void Bulk(std::string_view bytes) override;
  void Integer(std::int64_t value) override;
  void Unsigned(std::uint64_t value) override;
  void Double(double value) override;
  void Boolean(bool value) override;
  void Fail(const Error& error) override;
  void BeginList(ListShape shape, std::size_t count) override;
  void EndList() override;
  void BeginRecord(const RecordHead& head) override;
  void Chunk(std::string_view bytes) override;
  void EndRecord() override;
  void Peer(std::string_view payload) override;
  void Reserve(std::size_t bytes) override { out_->Prepare(bytes + kReserveSlack); }
  void MarkStaleRing() override { stale_ring_ = true; }
  void Restart() override { open_.clear(); }

 private:
  char* BeginValue(std::size_t value_bytes, std::size_t room);
  void EndValue(const char* end);
  void Varint(std::uint32_t tag, std::uint64_t value);
  void Bytes(std::uint32_t tag, std::string_view bytes);
  void FailPeer(const Error& error, std::string_view message);
  char* PutFrameHeader(char* at, std::size_t payload_bytes);

  Buffer* out_ = nullptr;
  std::uint64_t id_ = 0;
  FrameType type_ = FrameType::kReply;
  bool stale_ring_ = false;

  // With open lists: where the reply and (counted from there) the elements' Values of the open
  // lists begin, outermost first.
  std::size_t begin_ = 0;
  std::vector<std::size_t> open_;
};

}  // namespace gyre
