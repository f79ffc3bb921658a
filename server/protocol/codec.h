// The contract of a protocol: bytes -> Request, ReplyWriter calls -> bytes. One codec object for
// each connection, on its loop's thread. A codec never blocks, allocates without bound, or throws.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "base/buffer.h"
#include "proto/limits.h"
#include "proto/result.h"
#include "protocol/reply.h"
#include "protocol/request.h"
#include "protocol/session.h"

namespace gyre {

struct CodecLimits {
  std::size_t key_bytes_max = kKeyBytesMax;
  std::size_t value_bytes_max = kValueBytesDefaultMax;
  std::size_t argument_count_max = kArgumentCountMax;
  // All the bytes of one request (MSET of many keys): input beyond it is kTooLarge.
  std::size_t request_bytes_max = kValueBytesDefaultMax + kFrameSlackBytes;
};

struct Decoded {
  enum class Status {
    kRequest,    // `request` is filled from the first `consumed` bytes
    kSkip,       // `consumed` bytes held no request (an empty line); go on
    kNeedMore,   // incomplete: call again once `wanted` bytes are there in all (0: any more)
    kError,      // `error` is the reply; `consumed` bytes are skipped and the stream goes on
    kMalformed,  // `error` is the reply, after which the connection closes
  };
  Status status = Status::kNeedMore;
  std::size_t consumed = 0;
  std::size_t wanted = 0;
  Error error;
};

class Codec {
 public:
  virtual ~Codec() = default;

  // Reads one request from the front of `input`. The same bytes give the same result however they
  // were split. After kNeedMore the caller passes the same bytes again, with more behind them; a
  // codec may remember how far it came, so that a large request is not parsed from its start for
  // each read.
  virtual Decoded Decode(std::string_view input, Request& request) = 0;

  // Whether the requests that were decoded before stay valid while the one at the front of `input`,
  // which is not empty, is decoded into another Request: then it may be read ahead of their
  // execution.
  virtual bool MayReadAhead(std::string_view /*input*/) const { return false; }
  // The last calls read ahead, and what they found is not wanted yet: forgets what is known of an
  // incomplete request. The next call begins where a request does.
  virtual void Rewind() {}

  // The writer for `request`'s reply: it appends to `out` and stays valid until the reply is
  // complete, also when requests decoded later are answered first. The caller owns it. `Recycle`
  // hands it back, so that the steady state does not allocate.
  virtual ReplyWriter* WriterFor(const Request& request, Buffer& out) = 0;
  virtual void Recycle(ReplyWriter* writer) = 0;
  // The writer for any number of messages (push.h) to who subscribed with the request of this id.
  // The caller owns it, and hands it back to Recycle. Null: this protocol has no push.
  virtual ReplyWriter* PushWriterFor(std::uint64_t /*request_id*/, Buffer& /*out*/) {
    return nullptr;
  }

  // Says that the connection ends, and that nothing without a reply was carried out: the last that
  // goes out. False: the client knows no such word.
  virtual bool WriteGoodbye(Buffer& /*out*/) { return false; }

  // Memory that it has for a request which is not complete, beside the input.
  virtual std::size_t held_bytes() const { return 0; }

  // Whether replies must leave in the order of the requests (false: native, they carry ids).
  virtual bool ordered() const = 0;
};

using CodecFactory = std::function<std::unique_ptr<Codec>(Session&)>;

CodecFactory MakeNativeCodecFactory(const CodecLimits& limits);
CodecFactory MakeRespCodecFactory(const CodecLimits& limits);
CodecFactory MakeMemcachedCodecFactory(const CodecLimits& limits);

}  // namespace gyre
