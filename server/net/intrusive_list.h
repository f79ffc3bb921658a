// A doubly linked list whose links live in its elements: no allocation, O(1) removal from wherever
// an element is. The list owns nothing; an element is in at most one list for each of its `Tag`s.
#pragma once

#include <cassert>
#include <cstddef>

namespace gyre {

struct DefaultListTag {};

template <typename T, typename Tag>
class IntrusiveList;

// Derive T from IntrusiveListNode<T>.
template <typename T, typename Tag = DefaultListTag>
class IntrusiveListNode {
 public:
  IntrusiveListNode() = default;
  IntrusiveListNode(const IntrusiveListNode&) = delete;
  IntrusiveListNode& operator=(const IntrusiveListNode&) = delete;
  ~IntrusiveListNode() { assert(!linked()); }

  bool linked() const { return next_ != nullptr; }
  // Requires linked().
  void Unlink() {
    next_->previous_ = previous_;
    previous_->next_ = next_;
    next_ = previous_ = nullptr;
  }

 private:
  friend class IntrusiveList<T, Tag>;
  IntrusiveListNode* next_ = nullptr;
  IntrusiveListNode* previous_ = nullptr;
};

template <typename T, typename Tag = DefaultListTag>
class IntrusiveList {
 public:
  using Node = IntrusiveListNode<T, Tag>;

  IntrusiveList() { root_.next_ = root_.previous_ = &root_; }
  ~IntrusiveList() {
    assert(empty());
    root_.next_ = root_.previous_ = nullptr;
  }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;

  bool empty() const { return root_.next_ == &root_; }
  // Require !empty().
  T& front() { return *static_cast<T*>(root_.next_); }
  // Null: the list is empty, or there is none behind `element`.
  T* first() { return At(root_.next_); }
  T* After(T& element) { return At(static_cast<Node&>(element).next_); }
  T& back() { return *static_cast<T*>(root_.previous_); }

  // Requires that `element` is in no list of this Tag.
  void PushBack(T& element) {
    Node& node = element;
    assert(!node.linked());
    node.next_ = &root_;
    node.previous_ = root_.previous_;
    root_.previous_->next_ = &node;
    root_.previous_ = &node;
  }
  T& PopFront() {
    assert(!empty());
    Node* node = root_.next_;
    node->Unlink();
    return *static_cast<T*>(node);
  }

  // Calls `visit(T&)` for each element; it may unlink the one it is given, and no other.
  template <typename Visitor>
  void ForEach(Visitor&& visit) {
    for (Node* node = root_.next_; node != &root_;) {
      Node* next = node->next_;
      visit(*static_cast<T*>(node));
      node = next;
    }
  }

 private:
  T* At(Node* node) { return node == &root_ ? nullptr : static_cast<T*>(node); }

  Node root_;
};

}  // namespace gyre
