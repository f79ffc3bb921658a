// The members of one list in a view (its holders, its whole copies), best placed first.
//
// A view has two such lists for each partition, and is copied whenever it changes: a list of usual length
// stands where it is and has no memory of its own, so that a copy of 2,000 lists costs some microseconds
// and no allocation.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

namespace gyre {

using MemberIndex = std::uint16_t;
inline constexpr MemberIndex kNoMember = 0xffff;

class MemberList {
 public:
  using value_type = MemberIndex;
  using const_iterator = const MemberIndex*;
  using iterator = const_iterator;

  MemberList() = default;
  MemberList(std::initializer_list<MemberIndex> members) {
    for (const MemberIndex member : members) push_back(member);
  }
  MemberList(const MemberList& other)
      : size_(other.size_),
        here_(other.here_),
        more_(other.more_ ? std::make_unique<std::vector<MemberIndex>>(*other.more_) : nullptr) {}
  MemberList(MemberList&& other) noexcept
      : size_(std::exchange(other.size_, 0)), here_(other.here_), more_(std::move(other.more_)) {}
  MemberList& operator=(const MemberList& other) {
    if (this != &other) *this = MemberList(other);
    return *this;
  }
  MemberList& operator=(MemberList&& other) noexcept {
    size_ = std::exchange(other.size_, 0);
    here_ = other.here_;
    more_ = std::move(other.more_);
    return *this;
  }
  ~MemberList() = default;

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const_iterator begin() const { return more_ ? more_->data() : here_.data(); }
  const_iterator end() const { return begin() + size_; }
  MemberIndex front() const { return *begin(); }
  MemberIndex operator[](std::size_t place) const { return begin()[place]; }
  bool Has(MemberIndex member) const { return std::find(begin(), end(), member) != end(); }

  void push_back(MemberIndex member) {
    if (size_ == kHere && !more_) {
      more_ = std::make_unique<std::vector<MemberIndex>>(begin(), end());
    }
    if (more_) {
      more_->push_back(member);
    } else {
      here_[size_] = member;
    }
    ++size_;
  }
  void clear() {
    size_ = 0;
    more_.reset();
  }

  friend bool operator==(const MemberList& a, const MemberList& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  // More than `replicas` are complete only while copies move.
  static constexpr std::size_t kHere = 7;

  std::uint16_t size_ = 0;
  std::array<MemberIndex, kHere> here_{};
  std::unique_ptr<std::vector<MemberIndex>> more_;  // all of them, once they are more than that
};
static_assert(sizeof(MemberList) == 24, "a view has two for each partition");

}  // namespace gyre
