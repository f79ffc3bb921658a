#include "protocol/native_codec.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <protozero/exception.hpp>
#include <protozero/pbf_reader.hpp>
#include <utility>

#include "proto/frame.h"
#include "proto/native_request.h"
#include "proto/native_tags.h"
#include "proto/pbf.h"
#include "protocol/decoded.h"

namespace gyre {
namespace {

constexpr std::size_t kFrameIdOffset = 8;

// Reads the frame's fixed part as far as it is there: a client of another protocol is told at its
// first bytes, not once it has sent sixteen. Nothing: more is needed.
std::optional<Result<FrameHeader>> ReadFrameHeader(std::string_view input, std::size_t bytes_max) {
  if (input.size() >= FrameHeader::kBytes) return DecodeFrameHeader(input.data(), bytes_max);
  if (BeginsAsFrame(input)) return std::nullopt;
  std::array<char, FrameHeader::kBytes> wrong{};
  std::copy(input.begin(), input.end(), wrong.begin());
  return DecodeFrameHeader(wrong.data(), bytes_max);
}

// Fills `request` from a wire::Request, and what is said of its connection; what protozero throws at bytes that are none is the
// caller's to catch.
Status ReadRequest(std::string_view payload, const CodecLimits& limits, Request& request,
                   bool& takes_goodbye) {
  const std::size_t argument_bytes_max = std::max(limits.key_bytes_max, limits.value_bytes_max);
  protozero::pbf_reader reader(payload.data(), payload.size());
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case native::kRequestArgs: {
        const protozero::data_view bytes = reader.get_view();
        if (bytes.size() > argument_bytes_max) {
          return Fail(ErrorCode::kTooLarge, "an argument of " + std::to_string(bytes.size()) +
                                                " bytes is over the limit of " +
                                                std::to_string(argument_bytes_max) +
                                                ": see --max-value");
        }
        if (request.args.size() == limits.argument_count_max) {
          return Fail(ErrorCode::kTooLarge, "more than " +
                                                std::to_string(limits.argument_count_max) +
                                                " arguments: send fewer keys at once");
        }
        request.args.emplace_back(bytes.data(), bytes.size());
        break;
      }
      case native::kRequestHops:
        request.hops = reader.get_uint32();
        break;
      case native::kRequestWriteAcks:
        request.write_acks = reader.get_uint32();
        break;
      case native::kRequestDeadline:
        request.deadline_ms = reader.get_uint32();
        break;
      case native::kRequestNoForward:
        request.no_forward = GetBool(reader);
        break;
      case native::kRequestTakesGoodbye:
        takes_goodbye = GetBool(reader);
        break;
      default:
        reader.skip();
        break;
    }
  }
  if (request.args.empty()) {
    return Fail(ErrorCode::kInvalidArgument, "a request without a command: args[0] is its name");
  }
  return {};
}

Status ReadRequestSafely(std::string_view payload, const CodecLimits& limits, Request& request,
                         bool& takes_goodbye) {
  try {
    return ReadRequest(payload, limits, request, takes_goodbye);
  } catch (const protozero::exception& error) {
    return Fail(ErrorCode::kProtocol,
                std::string("the payload is no Request message: ") + error.what());
  }
}

}  // namespace

NativeCodec::NativeCodec(const CodecLimits& limits) : limits_(limits) {}

Decoded NativeCodec::Decode(std::string_view input, Request& request) {
  if (input.empty()) return NeedMore();
  const auto header = ReadFrameHeader(input, limits_.request_bytes_max);
  if (!header) return NeedMore(input.size() < 2 ? 0 : FrameHeader::kBytes);
  BeginRequest(request);
  if (!*header) {
    const Error& error = header->error();
    // Such a frame is ours but for its size: its sender can be told which request it was.
    if (error.code == ErrorCode::kTooLarge) {
      std::memcpy(&request.id, input.data() + kFrameIdOffset, sizeof request.id);
    }
    return MalformedInput(error.code, error.message);
  }
  request.id = (*header)->request_id;
  const FrameType type = (*header)->type;
  // With a key, the connection would have taken it (net/peer_gate.h).
  if (type == FrameType::kHandshake) {
    return MalformedInput(ErrorCode::kNotAllowed,
                          "the node there runs without --gossip-key and this one with it: give all "
                          "nodes of the cluster the same key, or none");
  }
  if (type != FrameType::kRequest && type != FrameType::kPeerRequest) {
    return MalformedInput(ErrorCode::kProtocol,
                          "a reply frame was sent to a node as if it had asked");
  }
  const std::size_t total = (*header)->frame_bytes();
  if (input.size() < total) return NeedMore(total);

  const std::string_view payload = input.substr(FrameHeader::kBytes, (*header)->payload_bytes);
  if (type == FrameType::kPeerRequest) {
    request.kind = Request::Kind::kPeer;
    request.payload = payload;
    return Done(total);
  }
  Status status = ReadRequestSafely(payload, limits_, request, takes_goodbye_);
  if (!status) {
    const std::uint64_t id = request.id;
    request.Clear();
    request.id = id;
    return ErrorReply(total, status.error().code, std::move(status.error().message));
  }
  return Done(total);
}

ReplyWriter* NativeCodec::WriterFor(const Request& request, Buffer& out) {
  NativeWriter* writer = writers_.Take();
  writer->Start(request, out);
  return writer;
}

ReplyWriter* NativeCodec::PushWriterFor(std::uint64_t request_id, Buffer& out) {
  NativeWriter* writer = writers_.Take();
  writer->StartPush(request_id, out);
  return writer;
}

bool NativeCodec::WriteGoodbye(Buffer& out) {
  if (!takes_goodbye_) return false;
  EncodeFrameHeader({.type = FrameType::kGoodbye}, out.Prepare(FrameHeader::kBytes));
  out.Commit(FrameHeader::kBytes);
  return true;
}

CodecFactory MakeNativeCodecFactory(const CodecLimits& limits) {
  return [limits](Session&) { return std::make_unique<NativeCodec>(limits); };
}

std::string EncodeRequest(const Request& request) {
  return EncodeNativeRequest({.args = request.args,
                              .hops = request.hops,
                              .write_acks = request.write_acks,
                              .deadline_ms = request.deadline_ms,
                              .no_forward = request.no_forward,
                              .takes_goodbye = true});
}

}  // namespace gyre
