// Calls libxxhash, where other sources have it inline (CMakeLists.txt): g++ refuses to inline this
// variant at -Og, and elsewhere it gains nothing.
#define XXH_STATIC_LINKING_ONLY  // XXH3_generateSecret_fromSeed
#include "storage/key.h"

#include <xxhash.h>

#include <cassert>

namespace gyre {

static_assert(KeyHash::kXxhBytes == XXH3_SECRET_DEFAULT_SIZE,
              "of the default secret's size, so that Plain() is XXH3_64bits");

// That of the seed 0 is the default secret.
KeyHash::KeyHash() { XXH3_generateSecret_fromSeed(secret_.data(), 0); }

KeyHash::KeyHash(const KeyHashId& id, std::string_view secret) : id_(id) {
  assert(!id.is_plain() && secret.size() == kSecretBytes);
  secret.copy(secret_.data(), kSecretBytes);
}

const KeyHash& KeyHash::Plain() {
  static const KeyHash plain;
  return plain;
}

std::uint64_t KeyHash::operator()(std::string_view key) const {
  return XXH3_64bits_withSecret(key.data(), key.size(), secret_.data(), kXxhBytes);
}

}  // namespace gyre
