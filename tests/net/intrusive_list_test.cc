#include "net/intrusive_list.h"

#include <gtest/gtest.h>

#include <string>

namespace gyre {
namespace {

struct OtherTag {};
struct Element : IntrusiveListNode<Element>, IntrusiveListNode<Element, OtherTag> {
  explicit Element(char name_in) : name(name_in) {}
  bool listed() const { return IntrusiveListNode<Element>::linked(); }
  void Remove() { IntrusiveListNode<Element>::Unlink(); }
  char name;
};

class IntrusiveListTest : public ::testing::Test {
 protected:
  ~IntrusiveListTest() override {
    while (!list_.empty()) list_.PopFront();
  }
  std::string Names() {
    std::string names;
    list_.ForEach([&](Element& element) { names += element.name; });
    return names;
  }
  Element a_{'a'}, b_{'b'}, c_{'c'};
  IntrusiveList<Element> list_;
};

TEST_F(IntrusiveListTest, KeepsTheOrder) {
  EXPECT_TRUE(list_.empty());
  list_.PushBack(a_);
  list_.PushBack(b_);
  list_.PushBack(c_);
  EXPECT_EQ(Names(), "abc");
  EXPECT_EQ(&list_.front(), &a_);
  EXPECT_EQ(&list_.back(), &c_);
  EXPECT_EQ(&list_.PopFront(), &a_);
  EXPECT_FALSE(a_.listed());
  EXPECT_EQ(Names(), "bc");
}

TEST_F(IntrusiveListTest, RemovesFromAnywhere) {
  for (Element* element : {&a_, &b_, &c_}) list_.PushBack(*element);
  b_.Remove();
  EXPECT_EQ(Names(), "ac");
  list_.PushBack(b_);
  EXPECT_EQ(Names(), "acb");
  list_.ForEach([](Element& element) { element.Remove(); });
  EXPECT_TRUE(list_.empty());
}

TEST_F(IntrusiveListTest, AnElementMayBeInOneListForEachTag) {
  IntrusiveList<Element, OtherTag> other;
  list_.PushBack(a_);
  other.PushBack(a_);
  a_.Remove();
  EXPECT_TRUE(list_.empty());
  EXPECT_EQ(&other.PopFront(), &a_);
}

}  // namespace
}  // namespace gyre
