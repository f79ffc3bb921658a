// Ownership of libuv handles. libuv goes on using a handle's memory after uv_close, until the close
// callback: so the memory is released there and nowhere else.
#pragma once

#include <uv.h>

#include <memory>

namespace gyre {

// Closes the handle and deletes the object that holds it from the close callback. `T` has a member
// `handle` of a libuv handle type, whose `data` this owner sets; no other callback of the handle
// runs after the deleter.
template <typename T>
struct CloseAndDelete {
  void operator()(T* owner) const {
    owner->handle.data = owner;
    uv_close(reinterpret_cast<uv_handle_t*>(&owner->handle),
             [](uv_handle_t* handle) { delete static_cast<T*>(handle->data); });
  }
};

// A heap object around one initialised libuv handle.
template <typename T>
using HandlePtr = std::unique_ptr<T, CloseAndDelete<T>>;

}  // namespace gyre
