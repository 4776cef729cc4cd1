// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessLog} from "../../contracts/interfaces/IAccessLog.sol";
import {IAuthorizations} from "../../contracts/interfaces/IAuthorizations.sol";
import {IRegistry} from "../../contracts/interfaces/IRegistry.sol";
import {Grant} from "../../contracts/libraries/Grants.sol";
import {AuthorizationId, Class, DatasetId, Outcome, Role} from "../../contracts/libraries/Types.sol";
import {ERC1271Wallet} from "./ERC1271Wallet.sol";
import {Fixture} from "./Fixture.sol";
import {Signed} from "./Signed.sol";
import {VM, Vm} from "./Vm.sol";

/// @title Recording: who may, in what order, under which number, and that nothing can be left out or changed.
contract AccessLogTest is Fixture {
    bytes32 private _parking;

    function setUp() public override {
        super.setUp();
        _parking = DatasetId.unwrap(_register("parking", Class.Unconditional, false));
    }

    // deployment

    function test_a_log_is_deployed_with_authorizations_that_count_for_it() external {
        bytes memory arguments = abi.encode(registry, catalogue, agreements, authorizations);
        _refused(abi.encodeWithSelector(IAccessLog.NotWired.selector, authorizations));
        this.deployAccessLog(arguments);
    }

    function deployAccessLog(bytes calldata arguments) external {
        _create("AccessLog", arguments);
    }

    // who records

    function test_only_a_recorder_records() external {
        _refusesToRecord(bank, abi.encodeWithSelector(IRegistry.RoleMissing.selector, bank, Role.Recorder));
        _refusesToRecord(stranger, abi.encodeWithSelector(IRegistry.PartyUnknown.selector, stranger));
        _refusesToRecord(authority, abi.encodeWithSelector(IRegistry.PartyUnknown.selector, authority));
    }

    function test_a_withdrawn_recorder_records_nothing() external {
        VM.prank(authority);
        registry.withdraw(recorder);
        _refusesToRecord(recorder, abi.encodeWithSelector(IRegistry.PartyInactive.selector, recorder));
    }

    function test_several_recorders_continue_one_sequence() external {
        _admit(stranger, Role.Recorder);
        _name(bank, stranger);
        _recordParking(recorder);
        _recordParking(stranger);
        (uint256 sequence,) = accessLog.state();
        VM.assertEq(sequence, 2, "sequence");
    }

    // named recorders

    /// @dev One admitted recorder without a signature used up 200 people's one-use authorizations so.
    function test_a_recorder_that_the_consumer_did_not_name_spends_nothing() external {
        _admit(stranger, Role.Recorder);
        AuthorizationId authorization = _granted();
        IAccessLog.Request memory request = _request(authorization);
        (uint256 sequence, bytes32 head) = accessLog.state();
        VM.expectEmit(address(accessLog));
        emit IAccessLog.BatchSkipped(bank, stranger);
        VM.expectEmit(address(accessLog));
        emit IAccessLog.Recorded(stranger, sequence, head);
        VM.prank(stranger);
        accessLog.record(_batch(bank, request));

        _expectState(sequence, head);
        VM.assertEq(_usesLeft(authorization), 3, "uses");
        VM.assertTrue(!accessLog.nonceUsed(bank, request.nonce), "nonce");
        _expect(_outcome(bank, request), Outcome.Allowed); // by its own
    }

    /// @dev A consumer that takes its naming back must not undo the others' batches.
    function test_a_batch_that_is_passed_over_leaves_the_others_as_they_are() external {
        AuthorizationId authorization = _granted();
        address third = VM.addr(NEW_KEY);
        _admit(third, Role.Consumer);
        VM.prank(third);
        registry.dismissRecorder(recorder);
        IAccessLog.Request memory shared = _request(_parking);
        IAccessLog.Batch[] memory batches = new IAccessLog.Batch[](4);
        batches[0] = IAccessLog.Batch(bank, _twice(shared, _request(authorization)));
        batches[1] = IAccessLog.Batch(third, _twice(shared, _request(authorization)));
        batches[2] = IAccessLog.Batch(insurer, _twice(shared, _request(authorization)));
        batches[3] = IAccessLog.Batch(bank, _twice(shared, _request(authorization)));
        _follow();
        VM.prank(recorder);
        accessLog.record(batches);
        Vm.Log[] memory logs = _follow();

        VM.assertEq(logs.length, 8, "six accesses, one passed over, the end");
        VM.assertEq(logs[2].topics[0], IAccessLog.BatchSkipped.selector, "in its place");
        VM.assertEq(logs[2].topics[1], bytes32(uint256(uint160(third))), "whose");
        Outcome[6] memory expected = [
            Outcome.Allowed,
            Outcome.Allowed,
            Outcome.Allowed,
            Outcome.ConsumerMismatch,
            Outcome.DuplicateRequest,
            Outcome.Allowed
        ];
        _expectAll(_accesses(logs), expected);
        VM.assertTrue(!accessLog.nonceUsed(third, shared.nonce), "nonce");
        bytes32 head;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (_isAccess(logs[i])) head = keccak256(abi.encodePacked(head, logs[i].topics[1], logs[i].data));
        }
        _expectState(6, head);
    }

    function test_a_call_of_batches_that_are_passed_over_records_nothing() external {
        IAccessLog.Batch[] memory batches = new IAccessLog.Batch[](2);
        batches[0] = IAccessLog.Batch(stranger, _twice(_request(_parking), _request(_parking)));
        batches[1] = IAccessLog.Batch(address(0), _twice(_request(_parking), _request(_parking)));
        VM.assertEq(_record(batches).length, 0, "accesses");
        _expectState(0, 0);
    }

    /// @dev Not even a deadline that would stop the whole call is looked at.
    function test_what_is_passed_over_cannot_stop_the_call() external {
        IAccessLog.Request memory unfit = _request(_parking);
        unfit.deadline = type(uint256).max;
        IAccessLog.Batch[] memory batches = new IAccessLog.Batch[](2);
        batches[0] = IAccessLog.Batch(stranger, _twice(unfit, unfit));
        batches[1] = IAccessLog.Batch(bank, _twice(_request(_parking), _request(_parking)));
        VM.assertEq(_record(batches).length, 2, "accesses");
    }

    function test_a_recorder_named_beside_the_first_records_too_until_it_is_dismissed() external {
        _admit(stranger, Role.Recorder);
        _name(bank, stranger);
        _recordParking(stranger);
        VM.prank(bank);
        registry.dismissRecorder(stranger);
        _recordParking(stranger);
        _recordParking(recorder);
        (uint256 sequence,) = accessLog.state();
        VM.assertEq(sequence, 2, "sequence");
    }

    function test_a_named_party_that_is_no_recorder_records_nothing() external {
        _name(bank, stranger);
        _refusesToRecord(stranger, abi.encodeWithSelector(IRegistry.PartyUnknown.selector, stranger));
    }

    // batches

    function test_nothing_to_record_changes_nothing() external {
        _recordParking(recorder);
        (uint256 sequence, bytes32 head) = accessLog.state();
        VM.expectEmit(address(accessLog));
        emit IAccessLog.Recorded(recorder, sequence, head);
        VM.prank(recorder);
        accessLog.record(new IAccessLog.Batch[](0));
        VM.assertEq(_record(_batch(bank, new IAccessLog.Request[](0))).length, 0, "events");
        _expectState(sequence, head);
    }

    function test_each_consumers_batch_is_decided_for_that_consumer() external {
        _admit(stranger, Role.Consumer);
        _withdrawParty(stranger);
        AuthorizationId authorization = _granted();
        IAccessLog.Batch[] memory batches = new IAccessLog.Batch[](3);
        batches[0] = IAccessLog.Batch(insurer, _twice(_request(authorization), _request(_parking)));
        batches[1] = IAccessLog.Batch(stranger, _twice(_request(authorization), _request(_parking)));
        batches[2] = IAccessLog.Batch(bank, _twice(_request(authorization), _request(_parking)));
        Outcome[6] memory expected = [
            Outcome.ConsumerMismatch,
            Outcome.Allowed,
            Outcome.ConsumerInactive,
            Outcome.ConsumerInactive,
            Outcome.Allowed,
            Outcome.Allowed
        ];
        _expectAll(_record(batches), expected);
    }

    function test_a_denied_request_does_not_spoil_its_neighbours() external {
        AuthorizationId authorization = _granted();
        IAccessLog.Request[] memory requests = new IAccessLog.Request[](6);
        for (uint256 i = 0; i < 6; ++i) {
            requests[i] = _request(authorization);
        }
        requests[1].basis = "unknown";
        requests[3].fields = AGREED_FIELDS;
        requests[4].nonce = requests[0].nonce;
        Outcome[6] memory expected = [
            Outcome.Allowed,
            Outcome.UnknownBasis,
            Outcome.Allowed,
            Outcome.FieldsExceeded,
            Outcome.DuplicateRequest,
            Outcome.Allowed
        ];
        _expectAll(_record(_batch(bank, requests)), expected);
        VM.assertEq(_usesLeft(authorization), 0, "uses");
    }

    /// @dev The log keeps in memory what it read for the last terms; other terms in between must not borrow it.
    function test_authorizations_on_different_terms_take_turns() external {
        IAuthorizations.Authorization memory narrow = _terms();
        narrow.fields = 0x01;
        AuthorizationId first = _granted();
        AuthorizationId second = _grant(narrow);
        IAccessLog.Request[] memory requests = new IAccessLog.Request[](6);
        for (uint256 i = 0; i < 6; ++i) {
            requests[i] = _request(i % 2 == 0 ? first : second);
        }
        requests[5].fields = 0x01;
        Outcome[6] memory expected = [
            Outcome.Allowed,
            Outcome.FieldsExceeded,
            Outcome.Allowed,
            Outcome.FieldsExceeded,
            Outcome.Allowed,
            Outcome.Allowed
        ];
        _expectAll(_record(_batch(bank, requests)), expected);
    }

    /// @dev Nor must terms that deny, looked at twice in a row and again after others.
    function test_terms_that_deny_take_turns_with_terms_that_allow() external {
        AuthorizationId closed = _grantOnAnotherDataset();
        AuthorizationId open = _granted();
        IAccessLog.Request[] memory requests = new IAccessLog.Request[](6);
        for (uint256 i = 0; i < 6; ++i) {
            requests[i] = _request(i == 2 || i == 4 ? open : closed);
        }
        Outcome[6] memory expected = [
            Outcome.DatasetInactive,
            Outcome.DatasetInactive,
            Outcome.Allowed,
            Outcome.DatasetInactive,
            Outcome.Allowed,
            Outcome.DatasetInactive
        ];
        _expectAll(_record(_batch(bank, requests)), expected);
        VM.assertEq(_usesLeft(closed), 3, "uses of the closed one");
        VM.assertEq(_usesLeft(open), 1, "uses of the open one");
    }

    function test_the_last_use_is_given_once_in_a_batch() external {
        IAuthorizations.Authorization memory terms = _terms();
        terms.maxUses = 1;
        AuthorizationId authorization = _grant(terms);
        Seen[] memory seen =
            _record(_batch(bank, _twice(_request(authorization), _request(authorization))));
        _expect(seen[0].outcome, Outcome.Allowed);
        _expect(seen[1].outcome, Outcome.UsesExhausted);
    }

    function test_a_deadline_that_does_not_fit_records_nothing_of_its_call() external {
        IAccessLog.Request[] memory requests = _twice(_request(_parking), _request(_parking));
        requests[1].deadline = 1 << 40;
        (uint256 sequence, bytes32 head) = accessLog.state();
        _refused(abi.encodeWithSelector(IAccessLog.DeadlineTooLarge.selector, 1 << 40));
        VM.prank(recorder);
        accessLog.record(_batch(bank, requests));
        _expectState(sequence, head);
        VM.assertTrue(!accessLog.nonceUsed(bank, requests[0].nonce), "nonce");
    }

    function test_a_contract_is_a_consumer_like_any_other() external {
        ERC1271Wallet wallet = new ERC1271Wallet(VM.addr(NEW_KEY));
        _admit(address(wallet), Role.Consumer);
        _expect(_outcome(address(wallet), _request(_parking)), Outcome.Allowed);
        _expect(_outcome(address(wallet), _request(_granted())), Outcome.ConsumerMismatch);
    }

    // nonces

    function test_a_request_sent_again_is_a_duplicate_for_ever_and_counts_no_use() external {
        AuthorizationId authorization = _granted();
        IAccessLog.Request memory request = _request(authorization);
        _expect(_outcome(bank, request), Outcome.Allowed);
        _expect(_outcome(bank, request), Outcome.DuplicateRequest);
        VM.warp(request.deadline + 1);
        _expect(_outcome(bank, request), Outcome.DuplicateRequest);
        VM.assertEq(_usesLeft(authorization), 2, "uses");
    }

    function test_a_denied_request_uses_up_its_nonce_too() external {
        IAccessLog.Request memory request = _request(bytes32("unknown"));
        _expect(_outcome(bank, request), Outcome.UnknownBasis);
        request.basis = _parking;
        _expect(_outcome(bank, request), Outcome.DuplicateRequest);
    }

    function test_a_nonce_is_one_consumers_own() external {
        IAccessLog.Request memory request = _request(_parking);
        _expect(_outcome(bank, request), Outcome.Allowed);
        VM.assertTrue(!accessLog.nonceUsed(insurer, request.nonce), "the other's");
        _expect(_outcome(insurer, request), Outcome.Allowed);
    }

    function test_a_duplicate_is_found_in_one_batch_and_across_batches_of_one_call() external {
        IAccessLog.Request memory request = _request(_parking);
        IAccessLog.Batch[] memory batches = new IAccessLog.Batch[](3);
        batches[0] = IAccessLog.Batch(bank, _twice(request, request));
        batches[1] = IAccessLog.Batch(insurer, _twice(request, request));
        batches[2] = IAccessLog.Batch(bank, _twice(request, request));
        Outcome[6] memory expected = [
            Outcome.Allowed,
            Outcome.DuplicateRequest,
            Outcome.Allowed,
            Outcome.DuplicateRequest,
            Outcome.DuplicateRequest,
            Outcome.DuplicateRequest
        ];
        _expectAll(_record(batches), expected);
    }

    function test_nonces_of_one_word_and_of_others_take_turns() external {
        uint256[6] memory nonces = [uint256(7), 7 + (1 << 8), 8, type(uint256).max, 7, 7 + (1 << 8)];
        IAccessLog.Request[] memory requests = new IAccessLog.Request[](6);
        for (uint256 i = 0; i < 6; ++i) {
            requests[i] = _request(_parking);
            requests[i].nonce = nonces[i];
        }
        Outcome[6] memory expected = [
            Outcome.Allowed,
            Outcome.Allowed,
            Outcome.Allowed,
            Outcome.Allowed,
            Outcome.DuplicateRequest,
            Outcome.DuplicateRequest
        ];
        _expectAll(_record(_batch(bank, requests)), expected);
        VM.assertTrue(!accessLog.nonceUsed(bank, 9) && !accessLog.nonceUsed(bank, 0), "others stay free");
    }

    function testFuzz_a_nonce_marks_itself_only(uint256 nonce, uint256 other) external {
        VM.assume(nonce != other);
        IAccessLog.Request memory request = _request(_parking);
        request.nonce = nonce;
        _expect(_outcome(bank, request), Outcome.Allowed);
        VM.assertTrue(accessLog.nonceUsed(bank, nonce) && !accessLog.nonceUsed(bank, other), "nonces");
    }

    // sequence and running hash

    function test_an_empty_log_is_all_zero() external view {
        _expectState(0, 0);
    }

    function test_the_sequence_has_no_gap_over_allowed_and_denied_accesses() external {
        for (uint256 i = 0; i < 5; ++i) {
            IAccessLog.Request[] memory requests = _twice(_request(_parking), _request(bytes32("unknown")));
            Seen[] memory seen = _record(_batch(i % 2 == 0 ? bank : insurer, requests));
            VM.assertEq(seen[0].sequence, 2 * i + 1, "first");
            VM.assertEq(seen[1].sequence, 2 * i + 2, "second");
        }
    }

    /// @dev From what the consumer asked, and not from what the log emitted: docs/spec/access-log.md.
    function test_the_head_follows_from_the_requests_and_their_outcomes() external {
        IAccessLog.Request[] memory requests = _twice(_request(_granted()), _request(bytes32("unknown")));
        requests[1].item = "record";
        requests[1].nonce = type(uint256).max;
        _record(_batch(bank, requests));
        IAccessLog.Request memory last = _request(_parking);
        bytes32 head = _after(0, bank, 1, Outcome.Allowed, requests[0]);
        head = _after(head, bank, 2, Outcome.UnknownBasis, requests[1]);
        _expectState(2, head);
        head = _after(head, insurer, 3, Outcome.Allowed, last);
        VM.expectEmit(address(accessLog));
        emit IAccessLog.Recorded(recorder, 3, head);
        VM.prank(recorder);
        accessLog.record(_batch(insurer, last));
        _expectState(3, head);
    }

    function testFuzz_the_head_follows_from_the_events(bytes32[4] calldata words, bool[4] calldata known) external {
        IAccessLog.Request[] memory requests = new IAccessLog.Request[](4);
        for (uint256 i = 0; i < 4; ++i) {
            requests[i] = IAccessLog.Request({
                basis: known[i] ? _parking : words[i],
                fields: uint256(keccak256(abi.encode(words[i]))) >> 248,
                nonce: uint256(words[(i + 1) % 4]),
                deadline: uint256(words[i]) % (1 << 40),
                item: words[(i + 2) % 4] & bytes32(uint256(1))
            });
        }
        _follow();
        VM.prank(recorder);
        accessLog.record(_batch(bank, requests));
        Vm.Log[] memory logs = _follow();
        bytes32 head;
        for (uint256 i = 0; i < 4; ++i) {
            head = keccak256(abi.encodePacked(head, logs[i].topics[1], logs[i].data));
        }
        _expectState(4, head);
    }

    // what the consumer signs

    function testFuzz_the_digest_is_the_typed_datas(address consumer, IAccessLog.Request calldata request)
        external
        view
    {
        bytes32 expected = Signed.digest(address(accessLog), Signed.request(consumer, request));
        VM.assertEq(accessLog.digestOf(consumer, request), expected, "digest");
    }

    /// @dev One step of the running hash, from the words that docs/spec/access-log.md names.
    function _after(
        bytes32 head,
        address consumer,
        uint48 sequence,
        Outcome outcome,
        IAccessLog.Request memory request
    ) private pure returns (bytes32) {
        bytes memory data = abi.encodePacked(
            request.fields, request.nonce, consumer, sequence, uint40(request.deadline), uint8(outcome)
        );
        if (request.item != 0) data = bytes.concat(data, request.item);
        return keccak256(bytes.concat(head, request.basis, data));
    }

    function _grantOnAnotherDataset() private returns (AuthorizationId authorization) {
        DatasetId visits = _register("visits", Class.Conditional, true);
        VM.prank(authority);
        agreements.bindFields(loan, visits, ALL_FIELDS);
        _agree(BANK_KEY, visits, loan, AGREED_FIELDS);
        IAuthorizations.Authorization memory terms = _terms();
        terms.dataset = visits;
        authorization = _grant(terms);
        VM.prank(provider);
        catalogue.withdrawDataset(visits, "closed");
    }

    function _twice(IAccessLog.Request memory first, IAccessLog.Request memory second)
        private
        pure
        returns (IAccessLog.Request[] memory requests)
    {
        requests = new IAccessLog.Request[](2);
        (requests[0], requests[1]) = (first, second);
    }

    function _recordParking(address by) private {
        IAccessLog.Batch[] memory batches = _batch(bank, _request(_parking));
        VM.prank(by);
        accessLog.record(batches);
    }

    function _refusesToRecord(address by, bytes memory reason) private {
        IAccessLog.Batch[] memory batches = _batch(bank, _request(_parking));
        _refused(reason);
        VM.prank(by);
        accessLog.record(batches);
    }

    function _expectAll(Seen[] memory seen, Outcome[6] memory expected) private pure {
        VM.assertEq(seen.length, 6, "events");
        for (uint256 i = 0; i < 6; ++i) {
            _expect(seen[i].outcome, expected[i]);
            VM.assertEq(seen[i].sequence, i + 1, "sequence");
        }
    }

    function _expectState(uint256 sequence, bytes32 head) private view {
        (uint256 foundSequence, bytes32 foundHead) = accessLog.state();
        VM.assertEq(foundSequence, sequence, "sequence");
        VM.assertEq(foundHead, head, "head");
    }

    function _usesLeft(AuthorizationId authorization) private view returns (uint32) {
        (Grant grant,) = authorizations.grantOf(authorization);
        return grant.usesLeft();
    }
}
