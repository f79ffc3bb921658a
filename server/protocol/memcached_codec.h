// Requests of the memcached text protocol (doc/protocol.txt of memcached).
//
//    set key flags exptime bytes [noreply] CR LF  data CR LF        get key key CR LF
//    ^ line                                       ^ line_bytes_     ^ line
//
// A line is split when its end has come, once; a storage command then waits for its data, of which
// only the CR LF at the end is looked at. Where this differs from what stands in protocol.txt it
// follows memcached 1.6: a line may end with LF alone; data is taken by its declared length, and
// what stands behind it is read as the next line.
//
// Data that will not be stored (too large an object, a bad key) is swallowed as it comes and never
// buffered, so that it is not taken for commands. With noreply, what would be an error is silence.
#pragma once

#include <array>
#include <cstddef>

#include "protocol/ascii.h"
#include "protocol/codec.h"
#include "protocol/memcached_command.h"
#include "protocol/memcached_writer.h"
#include "protocol/writer_pool.h"

namespace gyre {

class MemcachedCodec final : public Codec {
 public:
  explicit MemcachedCodec(const CodecLimits& limits) : limits_(limits) {}

  Decoded Decode(std::string_view input, Request& request) override;
  // What is to be swallowed is known here alone: Rewind would forget it.
  bool MayReadAhead(std::string_view) const override { return swallow_left_ == 0; }
  void Rewind() override;
  ReplyWriter* WriterFor(const Request& request, Buffer& out) override;
  void Recycle(ReplyWriter* writer) override { writers_.Return(writer); }
  bool ordered() const override { return true; }

 private:
  Decoded Swallow(std::string_view input);
  std::size_t DecodeGet(std::string_view input, Request& request) const;
  Decoded RefuseBinary(std::string_view input, Request& request);
  Decoded DecodeLine(std::string_view input, Request& request);
  Decoded Interpret(const MemcachedCommand& command, std::string_view input, Request& request);
  Decoded Retrieve(std::size_t keys_begin, Request& request);
  Decoded BeginStore(const MemcachedCommand& command, std::string_view input, Request& request);
  Decoded FinishStore(std::string_view input, Request& request);
  Decoded Delete(Request& request);
  Decoded Flush(Request& request);
  Decoded Verbosity(Request& request);
  Decoded Refuse(Request& request, ErrorCode code, const char* message);

  const CodecLimits limits_;
  const MemcachedCommand& get_ = *FindMemcachedCommand("get");

  // The request that is being read.
  std::size_t scanned_ = 0;     // no LF before
  std::size_t line_bytes_ = 0;  // of the line, with its end
  bool noreply_ = false;
  const MemcachedCommand* store_ = nullptr;  // its line is read, its data is awaited
  std::array<Span, 4> store_words_;          // key, flags, exptime, CAS token
  std::size_t data_bytes_ = 0;
  std::size_t swallow_left_ = 0;  // bytes of refused data still to come

  WriterPool<MemcachedWriter> writers_;
};

}  // namespace gyre
