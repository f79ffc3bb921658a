// Handshake and stream of one link, over two strings.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "crypto/link_handshake.h"

namespace gyre {
namespace {

GossipKey NewKey() { return ParseGossipKeys(GenerateGossipKey())->front(); }

std::string Text(const Buffer& buffer) { return std::string(buffer.view()); }

// Two nodes, a link from one to the other.
class LinkTest : public ::testing::Test {
 protected:
  void Link() {
    LinkInitiator initiator(ours_);
    Result<LinkAnswer> answer = AnswerLink(theirs_, initiator.hello());
    ASSERT_TRUE(answer) << answer.error().message;
    Result<std::unique_ptr<LinkStream>> stream = initiator.OnAnswer(answer->answer);
    ASSERT_TRUE(stream) << stream.error().message;
    client_ = std::move(*stream);
    server_ = std::move(answer->stream);
  }
  static std::string Seal(LinkStream& stream, std::string_view plain) {
    Buffer out;
    stream.Seal(plain, out);
    return Text(out);
  }
  // What `stream` makes of `bytes`; "broken" if it is the link's end.
  static std::string Open(LinkStream& stream, std::string_view bytes) {
    Buffer plain;
    const Result<std::size_t> opened = stream.Open(bytes, plain);
    if (!opened) return "broken";
    EXPECT_LE(*opened, bytes.size());
    return Text(plain);
  }

  GossipKey key_ = NewKey();
  Keyring ours_{{key_}};
  Keyring theirs_{{key_}};
  std::unique_ptr<LinkStream> client_;
  std::unique_ptr<LinkStream> server_;
};

TEST_F(LinkTest, CarriesBytesBothWays) {
  Link();
  EXPECT_FALSE(server_->proven());
  EXPECT_EQ(Open(*server_, Seal(*client_, "ask")), "ask");
  EXPECT_TRUE(server_->proven());
  EXPECT_EQ(Open(*client_, Seal(*server_, "answer")), "answer");
  EXPECT_EQ(Open(*server_, Seal(*client_, "again")), "again");
}

TEST_F(LinkTest, HidesWhatItCarries) {
  Link();
  const std::string sealed = Seal(*client_, "a plain word");
  EXPECT_EQ(sealed.find("plain"), std::string::npos);
  EXPECT_EQ(sealed.size(), LinkStream::kHeaderBytes + LinkStream::kOverheadBytes + 12);
}

TEST_F(LinkTest, OpensHoweverTheBytesWereSplit) {
  Link();
  const std::string large(3 * LinkStream::kRecordBytesMax + 5, 'x');
  std::string sealed = Seal(*client_, "one");
  sealed += Seal(*client_, large);
  sealed += Seal(*client_, "end");
  Buffer raw;
  Buffer plain;
  std::size_t step = 1;
  for (std::size_t at = 0; at < sealed.size(); at += step, step = step % 4093 + 1) {
    raw.Append(std::string_view(sealed).substr(at, step));
    const Result<std::size_t> opened = server_->Open(raw.view(), plain);
    ASSERT_TRUE(opened);
    raw.Consume(*opened);
  }
  EXPECT_TRUE(raw.empty());
  EXPECT_TRUE(Text(plain) == "one" + large + "end");
}

TEST_F(LinkTest, NoFlippedBitOpens) {
  Link();
  const std::string sealed = Seal(*client_, "word");
  for (std::size_t bit = 0; bit < 8 * sealed.size(); ++bit) {
    Link();
    std::string tampered = Seal(*client_, "word");
    tampered[bit / 8] = static_cast<char>(tampered[bit / 8] ^ 1 << bit % 8);
    // A length that grew makes it wait for more; it never opens.
    const std::string opened = Open(*server_, tampered);
    EXPECT_TRUE(opened == "broken" || opened.empty()) << bit;
    EXPECT_FALSE(server_->proven()) << bit;
  }
}

TEST_F(LinkTest, NothingIsRepeatedLeftOutReorderedOrReflected) {
  Link();
  const std::string first = Seal(*client_, "first");
  const std::string second = Seal(*client_, "second");
  const std::string third = Seal(*client_, "third");
  EXPECT_EQ(Open(*server_, first), "first");
  EXPECT_EQ(Open(*server_, third), "broken") << "left out, or reordered";
  EXPECT_EQ(Open(*server_, second), "broken") << "a broken link stays broken";

  Link();
  const std::string once = Seal(*client_, "once");
  EXPECT_EQ(Open(*server_, once), "once");
  EXPECT_EQ(Open(*server_, once.substr(LinkStream::kHeaderBytes)), "broken") << "repeated";

  Link();
  EXPECT_EQ(Open(*client_, Seal(*client_, "mine")), "broken") << "reflected";
}

TEST_F(LinkTest, ATruncatedRecordIsNotDelivered) {
  Link();
  const std::string sealed = Seal(*client_, "whole");
  for (std::size_t bytes = 0; bytes < sealed.size(); ++bytes) {
    Link();
    EXPECT_EQ(Open(*server_, Seal(*client_, "whole").substr(0, bytes)), "");
  }
}

TEST_F(LinkTest, ARecordOfAnotherLinkDoesNotOpen) {
  Link();
  const std::string recorded = Seal(*client_, "recorded");
  Link();
  EXPECT_EQ(Open(*server_, recorded), "broken");
}

TEST_F(LinkTest, ARepeatedHelloGetsAnAnswerThatNobodyCanUse) {
  LinkInitiator victim(ours_);
  const std::string hello(victim.hello());
  const LinkAnswer first = std::move(*AnswerLink(theirs_, hello));
  const LinkAnswer second = std::move(*AnswerLink(theirs_, hello));
  EXPECT_NE(first.answer, second.answer);
  std::unique_ptr<LinkStream> stream = std::move(*victim.OnAnswer(first.answer));
  EXPECT_EQ(Open(*second.stream, Seal(*stream, "to the first")), "broken");
}

TEST_F(LinkTest, AStrangersHelloIsRefused) {
  Keyring stranger{{NewKey()}};
  const LinkInitiator initiator(stranger);
  const Result<LinkAnswer> answer = AnswerLink(theirs_, initiator.hello());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kNotAllowed);
  EXPECT_NE(answer.error().message.find("--gossip-key"), std::string::npos);
}

TEST_F(LinkTest, NoHelloButTheWholeOneIsTaken) {
  const LinkInitiator initiator(ours_);
  const std::string hello(initiator.hello());
  for (std::size_t bytes = 0; bytes < hello.size(); ++bytes) {
    EXPECT_FALSE(AnswerLink(theirs_, hello.substr(0, bytes)));
  }
  EXPECT_FALSE(AnswerLink(theirs_, hello + "x"));
  for (std::size_t bit = 0; bit < 8 * hello.size(); ++bit) {
    std::string tampered = hello;
    tampered[bit / 8] = static_cast<char>(tampered[bit / 8] ^ 1 << bit % 8);
    EXPECT_FALSE(AnswerLink(theirs_, tampered)) << bit;
  }
}

TEST_F(LinkTest, NoTamperedAnswerIsTaken) {
  for (std::size_t bit = 0; bit < 8 * kLinkAnswerBytes; ++bit) {
    LinkInitiator initiator(ours_);
    std::string answer = AnswerLink(theirs_, initiator.hello())->answer;
    answer[bit / 8] = static_cast<char>(answer[bit / 8] ^ 1 << bit % 8);
    EXPECT_FALSE(initiator.OnAnswer(answer)) << bit;
  }
  LinkInitiator initiator(ours_);
  EXPECT_FALSE(initiator.OnAnswer(""));
}

TEST_F(LinkTest, AnAnswerToAnotherHelloIsNotTaken) {
  const LinkInitiator one(ours_);
  LinkInitiator other(ours_);
  EXPECT_FALSE(other.OnAnswer(AnswerLink(theirs_, one.hello())->answer));
}

TEST_F(LinkTest, UnderstandsTheOtherThroughARotation) {
  const GossipKey fresh = NewKey();
  const std::vector<std::vector<GossipKey>> steps = {{key_}, {key_, fresh}, {fresh, key_}, {fresh}};
  for (std::size_t i = 0; i + 1 < steps.size(); ++i) {
    for (const bool we_first : {true, false}) {
      ours_.Replace(steps[we_first ? i + 1 : i]);
      theirs_.Replace(steps[we_first ? i : i + 1]);
      Link();
      EXPECT_EQ(Open(*server_, Seal(*client_, "ask")), "ask");
      EXPECT_EQ(Open(*client_, Seal(*server_, "answer")), "answer");
    }
  }
}

TEST_F(LinkTest, ALinkEndsWithItsKey) {
  const GossipKey fresh = NewKey();
  Link();
  EXPECT_EQ(Open(*server_, Seal(*client_, "before")), "before");
  ours_.Replace({key_, fresh});
  theirs_.Replace({fresh, key_});
  EXPECT_FALSE(client_->outdated() || client_->revoked() || server_->revoked());
  EXPECT_TRUE(server_->outdated());
  EXPECT_EQ(Open(*server_, Seal(*client_, "meanwhile")), "meanwhile");
  theirs_.Replace({fresh});
  EXPECT_TRUE(server_->revoked());
  EXPECT_EQ(Open(*server_, Seal(*client_, "after")), "broken");
}

TEST_F(LinkTest, RefusesRecordsOfImpossibleLengths) {
  for (const std::uint32_t length : {0U, std::uint32_t{LinkStream::kRecordBytesMax + 1}, ~0U}) {
    Link();
    std::string sealed = Seal(*client_, "x");
    sealed.replace(LinkStream::kHeaderBytes, 4, reinterpret_cast<const char*>(&length), 4);
    EXPECT_EQ(Open(*server_, sealed), "broken") << length;
  }
}

}  // namespace
}  // namespace gyre
