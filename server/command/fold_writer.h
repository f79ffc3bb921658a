// Takes the replies for several keys and says one: their sum, or OK, or 1, or the first error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "proto/command_schema.h"
#include "protocol/reply.h"

namespace gyre {

class FoldWriter final : public ReplyWriter {
 public:
  // For kSum, kAllOk or kAtomic.
  explicit FoldWriter(Fold fold) : fold_(fold) {}

  void Integer(std::int64_t value) override { sum_ += value; }
  void Fail(const Error& error) override {
    if (!error_) error_ = error;
  }

  // The first.
  const std::optional<Error>& error() const { return error_; }

  void Say(ReplyWriter& reply) const {
    if (error_) return reply.Fail(*error_);
    switch (fold_) {
      case Fold::kSum:
        return reply.Integer(sum_);
      case Fold::kAtomic:
        return reply.Integer(1);
      default:
        return reply.Word(Outcome::kOk);
    }
  }

  // All else that a handler may say means success and nothing more.
  void Null() override {}
  void Word(Outcome /*outcome*/) override {}
  void Text(std::string_view /*line*/) override {}
  void Bulk(std::string_view /*bytes*/) override {}
  void Unsigned(std::uint64_t /*value*/) override {}
  void Double(double /*value*/) override {}
  void Boolean(bool /*value*/) override {}
  void BeginList(ListShape /*shape*/, std::size_t /*count*/) override {}
  void EndList() override {}
  void BeginRecord(const RecordHead& /*head*/) override {}
  void Chunk(std::string_view /*bytes*/) override {}
  void EndRecord() override {}
  void Peer(std::string_view /*payload*/) override {}

 private:
  const Fold fold_;
  std::int64_t sum_ = 0;
  std::optional<Error> error_;
};

}  // namespace gyre
