// RESP2 and RESP3 requests (https://redis.io/docs/reference/protocol-spec/): arrays of bulk
// strings, and inline commands.
//
//    *3 CRLF  $3 CRLF SET CRLF  $1 CRLF k CRLF  $5 CRLF value CRLF
//    ^        ^                 ^
//    header   spans_[0]         position_ (in kNeedMore: here the next call goes on)
//
// Each argument is looked at once, whatever the sizes of the reads: what was read stays as offsets
// (`spans_`), and becomes views only when the request is complete. A value's bytes are never
// scanned, only stepped over.
//
// What breaks the rules (lengths that are negative, no number or too large; no CR LF where one
// belongs) ends the connection after an error, because nothing behind it can be trusted; texts are
// those of Redis, which clients and people know. Memory: 8 bytes an argument while incomplete,
// bounded by `argument_count_max`.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "protocol/ascii.h"
#include "protocol/codec.h"
#include "protocol/resp_writer.h"
#include "protocol/writer_pool.h"

namespace gyre {

class RespCodec final : public Codec {
 public:
  RespCodec(Session& session, const CodecLimits& limits);

  Decoded Decode(std::string_view input, Request& request) override;
  // An inline request may point into `unescaped_`, of which there is one.
  bool MayReadAhead(std::string_view input) const override { return input.front() == '*'; }
  void Rewind() override;
  ReplyWriter* WriterFor(const Request& request, Buffer& out) override;
  void Recycle(ReplyWriter* writer) override { writers_.Return(writer); }
  ReplyWriter* PushWriterFor(std::uint64_t, Buffer& out) override {
    return WriterFor(Request{}, out);
  }
  std::size_t held_bytes() const override { return spans_.capacity() * sizeof(Span); }
  bool ordered() const override { return true; }

 private:
  std::size_t DecodeWhole(std::string_view input, Request& request) const;
  Decoded BeginArray(std::string_view input);
  Decoded DecodeArguments(std::string_view input, Request& request);
  Decoded DecodeInline(std::string_view input, Request& request);
  Decoded Complete(std::string_view input, Request& request);

  // Immutable.
  Session& session_;
  const CodecLimits limits_;
  const std::size_t bulk_bytes_max_;

  // The request that is being read. Invariant: position_ <= bytes of input seen; all zero between
  // requests.
  std::size_t position_ = 0;
  std::size_t arguments_left_ = 0;
  std::size_t body_bytes_ = 0;  // with in_body_: of the argument at position_
  bool in_body_ = false;
  std::size_t scanned_ = 0;  // inline: no line end before
  std::vector<Span> spans_;

  std::string unescaped_;  // what an inline command's views may point to
  WriterPool<RespWriter> writers_;
};

}  // namespace gyre
