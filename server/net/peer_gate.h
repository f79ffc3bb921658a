// The listening side of encrypted links, between a connection's socket and its codec.
//
//   kUndecided --first bytes are a hello that opens--> kSealed: bytes are opened and sealed
//       |
//       +------anything else: of a client----------> the connection goes on without a gate
//
// Only native ports of a node with --gossip-key have gates; elsewhere nothing of this runs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/buffer.h"
#include "crypto/keyring.h"
#include "crypto/link_stream.h"
#include "proto/result.h"

namespace gyre {

class PeerGate {
 public:
  enum class Next {
    kGoOn,     // `input` has what the codec may see, perhaps nothing yet
    kPlain,    // no peer: `input` has all that came; the gate is done
    kRefused,  // a peer without our key: `error` is what to tell it last, in the clear
    kBroken,   // close, without a word
  };
  struct Step {
    Next next = Next::kGoOn;
    std::string answer;  // to send at once, in the clear
    Error error;
    std::uint64_t request_id = 0;  // of the hello that is refused
  };

  // `keys` outlives it, and `account`, which its buffers are charged to (null: nobody).
  explicit PeerGate(Keyring& keys, ClientMemoryAccount* account = nullptr)
      : keys_(keys), raw_(account), spare_(account) {}

  // Takes what came from the socket.
  Step Take(std::string_view fresh, Buffer& input);

  bool sealed() const { return stream_ != nullptr; }
  // Requires sealed(): `plain` becomes what is to be sent instead of it. False: the link must not
  // be used any more.
  bool Seal(Buffer& plain);

 private:
  Step Decide(Buffer& input);
  Step Answer(std::string_view hello, std::uint64_t request_id);
  Step Open(std::string_view fresh, Buffer& input);

  Keyring& keys_;
  Buffer raw_;  // came, and is not complete
  std::unique_ptr<LinkStream> stream_;
  Buffer spare_;  // used again for each Seal
};

}  // namespace gyre
