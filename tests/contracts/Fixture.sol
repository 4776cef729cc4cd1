// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessLog} from "../../contracts/interfaces/IAccessLog.sol";
import {IAgreements} from "../../contracts/interfaces/IAgreements.sol";
import {IAuthorizations} from "../../contracts/interfaces/IAuthorizations.sol";
import {ICatalogue} from "../../contracts/interfaces/ICatalogue.sol";
import {INumbered} from "../../contracts/interfaces/INumbered.sol";
import {IRegistry} from "../../contracts/interfaces/IRegistry.sol";
import {ISubjects} from "../../contracts/interfaces/ISubjects.sol";
import {
    AgreementId,
    ApplicationId,
    AuthorizationId,
    Class,
    DatasetId,
    OrderId,
    Outcome,
    PurposeId,
    Role,
    SubjectId
} from "../../contracts/libraries/Types.sol";
import {Signed} from "./Signed.sol";
import {VM, Vm} from "./Vm.sol";

/// @title A small city: the five contracts, one of each party (two regulators), a personal dataset, a person.
/// @notice The bank may use fields 0 to 7 of the land register for loans. Alice has granted nothing yet. Every consumer has named the
/// recorder. From the first event on the running hashes of the contracts are followed, by the rule and not by their code.
abstract contract Fixture {
    /// @dev One access as its event tells it.
    struct Seen {
        bytes32 basis;
        uint256 fields;
        uint256 nonce;
        bytes32 item;
        address consumer;
        uint256 sequence;
        uint256 deadline;
        Outcome outcome;
    }

    /// @dev What a contract's events so far come to.
    struct Chain {
        uint64 count;
        bytes24 head;
        bool broken;
    }

    uint64 internal constant START = 1_800_000_000;
    uint64 internal constant RECOVERY_DELAY = 3 days;
    uint64 internal constant ADMISSION_DELAY = 2 days; // a trial, so that the tests see which delay is which
    uint256 internal constant ALL_FIELDS = 0xfff;
    uint256 internal constant AGREED_FIELDS = 0xff;

    uint256 internal constant BANK_KEY = 0xba;
    uint256 internal constant INSURER_KEY = 0x15;
    uint256 internal constant ALICE_KEY = 0xa11ce;
    uint256 internal constant NEW_KEY = 0x4e3;
    uint256 internal constant GUARDIAN_KEY = 0x60a;
    uint256 internal constant STRANGER_KEY = 0x57a;

    SubjectId internal constant ALICE = SubjectId.wrap(keccak256("a random id"));
    SubjectId internal constant BOB = SubjectId.wrap(keccak256("another random id"));

    address internal immutable authority = VM.addr(0xa0);
    address internal immutable provider = VM.addr(0xf0);
    address internal immutable regulator = VM.addr(0x4e);
    address internal immutable otherRegulator = VM.addr(0x4f);
    address internal immutable recorder = VM.addr(0x4ec);
    address internal immutable identity = VM.addr(0x1d);
    address internal immutable bank = VM.addr(BANK_KEY);
    address internal immutable insurer = VM.addr(INSURER_KEY);
    address internal immutable stranger = VM.addr(STRANGER_KEY);

    IRegistry internal registry;
    ICatalogue internal catalogue;
    IAgreements internal agreements;
    IAuthorizations internal authorizations;
    IAccessLog internal accessLog;
    address internal passkeyVerifier;

    DatasetId internal land;
    PurposeId internal loan;
    AgreementId internal landForLoan;

    mapping(address emitter => Chain) private _chains;
    mapping(bytes32 selector => uint256 times) internal _emitted;
    uint256 private _drawn;

    function setUp() public virtual {
        VM.warp(START);
        VM.recordLogs();
        _deploy();
        _admit(provider, Role.Provider);
        _admit(recorder, Role.Recorder);
        _admit(bank, Role.Consumer);
        _admit(insurer, Role.Consumer);
        land = _register("land", Class.Conditional, true);
        loan = _purpose("loan", land);
        landForLoan = _agree(BANK_KEY, land, loan, AGREED_FIELDS);
        _enrol(ALICE, _account(ALICE_KEY));
        _follow();
    }

    // Parties

    function _deploy() private {
        passkeyVerifier = _create("PasskeyVerifier", "");
        address[] memory verifiers = new address[](1);
        verifiers[0] = passkeyVerifier;
        registry = IRegistry(_create("Registry", abi.encode(authority, true, ADMISSION_DELAY, _founders(), verifiers)));
        catalogue = ICatalogue(_create("Catalogue", abi.encode(registry)));
        agreements = IAgreements(_create("Agreements", abi.encode(registry, catalogue)));
        address log = VM.computeCreateAddress(address(this), VM.getNonce(address(this)) + 1);
        bytes memory arguments = abi.encode(registry, catalogue, agreements, log, RECOVERY_DELAY);
        authorizations = IAuthorizations(_create("Authorizations", arguments));
        arguments = abi.encode(registry, catalogue, agreements, authorizations);
        accessLog = IAccessLog(_create("AccessLog", arguments));
    }

    function _founders() internal view returns (IRegistry.Founder[] memory founders) {
        founders = new IRegistry.Founder[](3);
        founders[0] = IRegistry.Founder(regulator, _bit(Role.Regulator), "a regulator");
        founders[1] = IRegistry.Founder(otherRegulator, _bit(Role.Regulator), "another regulator");
        founders[2] = IRegistry.Founder(identity, _bit(Role.IdentityAuthority), "an identity authority");
    }

    /// @dev By artifact and not by `new`, with which every test contract would compile the five contracts once more.
    function _create(string memory name, bytes memory arguments) internal returns (address created) {
        bytes memory code = bytes.concat(VM.getCode(string.concat(name, ".sol:", name)), arguments);
        assembly ("memory-safe") {
            created := create(0, add(code, 0x20), mload(code))
            if iszero(created) {
                returndatacopy(0x00, 0, returndatasize())
                revert(0x00, returndatasize())
            }
        }
    }

    /// @dev Announced only, when the role is one that waits. A consumer names the recorder.
    function _admit(address party, Role role) internal {
        VM.prank(authority);
        registry.admit(party, _bit(role), _nameOf(party));
        if (role == Role.Consumer && !registry.mayRecord(party, recorder)) _name(party, recorder);
    }

    /// @dev With a role that waits, after its delay.
    function _admitLater(address party, Role role) internal {
        _admit(party, role);
        VM.warp(_now() + ADMISSION_DELAY);
        registry.activate(party);
    }

    function _name(address consumer, address by) internal {
        VM.prank(consumer);
        registry.nameRecorder(by);
    }

    function _withdrawParty(address party) internal {
        VM.prank(authority);
        registry.withdraw(party);
    }

    /// @dev One for each party, because a name is its first party's for ever.
    function _nameOf(address party) internal pure returns (string memory) {
        return string.concat("party ", VM.toString(uint256(uint160(party))));
    }

    function _bit(Role role) internal pure returns (uint8) {
        return uint8(1 << uint8(role));
    }

    // Datasets, purposes, agreements

    function _datasetTerms(string memory code, Class sharing, bool personal)
        internal
        pure
        returns (ICatalogue.DatasetTerms memory terms)
    {
        terms.code = code;
        terms.title = "A dataset";
        terms.fields = new string[](12);
        for (uint256 i = 0; i < 12; ++i) {
            terms.fields[i] = string.concat("field ", VM.toString(i));
        }
        terms.sharing = sharing;
        terms.open = Class.NotShared;
        terms.grade = 3;
        terms.personal = personal;
        terms.updateCycle = 1 days;
    }

    function _register(string memory code, Class sharing, bool personal) internal returns (DatasetId) {
        VM.prank(provider);
        return catalogue.registerDataset(_datasetTerms(code, sharing, personal));
    }

    function _purposeTerms(string memory code) internal pure returns (IAgreements.PurposeTerms memory terms) {
        terms.code = code;
        terms.texts = new IAgreements.Text[](2);
        terms.texts[0] = IAgreements.Text("zh", unicode"我同意{consumer}查询");
        terms.texts[1] = IAgreements.Text("en", "I let {consumer} read");
        terms.maxValidity = 90 days;
        terms.maxUses = 5;
        terms.minInterval = 0;
        terms.retention = 30 days;
    }

    function _purpose(string memory code, DatasetId dataset) internal returns (PurposeId purpose) {
        VM.prank(authority);
        purpose = agreements.registerPurpose(_purposeTerms(code));
        VM.prank(authority);
        agreements.bindFields(purpose, dataset, ALL_FIELDS);
    }

    function _applyFor(uint256 consumerKey, DatasetId dataset, PurposeId purpose, uint256 fields)
        internal
        returns (ApplicationId)
    {
        VM.prank(VM.addr(consumerKey));
        return agreements.applyFor(dataset, purpose, fields, "to decide loans", _random());
    }

    function _signConfidentiality(uint256 consumerKey, ApplicationId application) internal {
        address consumer = VM.addr(consumerKey);
        bytes32 nonce = _random();
        bytes32 structHash = Signed.confidentiality(consumer, application, "we keep it secret", nonce, _soon());
        bytes memory signature = _sign(consumerKey, Signed.digest(address(agreements), structHash));
        agreements.signConfidentiality(consumer, application, "we keep it secret", nonce, _soon(), signature);
    }

    function _agree(uint256 consumerKey, DatasetId dataset, PurposeId purpose, uint256 fields)
        internal
        returns (AgreementId agreement)
    {
        ApplicationId application = _applyFor(consumerKey, dataset, purpose, fields);
        VM.prank(provider);
        agreement = agreements.approve(application, fields, _now() + 365 days);
        _signConfidentiality(consumerKey, application);
    }

    function _orderTerms(DatasetId dataset, Class sharing)
        internal
        view
        returns (ICatalogue.OrderTerms memory terms)
    {
        terms.dataset = dataset;
        terms.purpose = loan;
        terms.sharing = sharing;
        terms.fields = 0x0f;
        terms.startsAt = _now();
        terms.endsAt = _now() + 1 days;
        terms.reason = "flood";
    }

    /// @dev In force, because a regulator countersigned one that opens.
    function _order(DatasetId dataset, Class sharing) internal returns (OrderId) {
        return _order(_orderTerms(dataset, sharing));
    }

    function _order(ICatalogue.OrderTerms memory terms) internal returns (OrderId order) {
        order = _issue(terms);
        if (terms.sharing != Class.NotShared) _countersign(order);
    }

    function _issue(ICatalogue.OrderTerms memory terms) internal returns (OrderId) {
        if (terms.nonce == 0) terms.nonce = _random();
        VM.prank(authority);
        return catalogue.issueOrder(terms);
    }

    function _countersign(OrderId order) internal {
        VM.prank(regulator);
        catalogue.countersignOrder(order);
    }

    // People

    function _enrol(SubjectId subject, bytes memory signer) internal {
        SubjectId[] memory subjects = new SubjectId[](1);
        subjects[0] = subject;
        bytes[] memory signers = new bytes[](1);
        signers[0] = signer;
        VM.prank(identity);
        authorizations.registerSubjects(subjects, signers);
    }

    function _terms() internal returns (IAuthorizations.Authorization memory terms) {
        terms.subject = ALICE;
        terms.consumer = bank;
        terms.dataset = land;
        terms.purpose = loan;
        terms.fields = 0x07;
        terms.caseReference = keccak256("salt and case number");
        terms.statementHash = keccak256("I let Quancheng Bank read 3 items of my property record");
        terms.notBefore = _now();
        terms.expiresAt = _now() + 30 days;
        terms.maxUses = 3;
        terms.nonce = _random();
        terms.deadline = _soon();
    }

    function _grant(IAuthorizations.Authorization memory terms) internal returns (AuthorizationId) {
        return authorizations.grant(terms, _byAlice(Signed.authorization(terms)));
    }

    function _granted() internal returns (AuthorizationId) {
        return _grant(_terms());
    }

    function _revoke(AuthorizationId authorization) internal {
        _revokeBy(ALICE_KEY, authorization);
    }

    function _revokeBy(uint256 key, AuthorizationId authorization) internal {
        ISubjects.Approval memory approval = _by(key, Signed.revocation(ALICE, authorization, _soon()));
        authorizations.revoke(ALICE, authorization, _soon(), approval);
    }

    function _setFrozen(bool frozen) internal {
        _setFrozenBy(ALICE_KEY, frozen);
    }

    function _setFrozenBy(uint256 key, bool frozen) internal {
        bytes32 nonce = _random();
        ISubjects.Approval memory approval = _by(key, Signed.freeze(ALICE, frozen, nonce, _soon()));
        authorizations.setFrozen(ALICE, frozen, nonce, _soon(), approval);
    }

    function _rotate(uint256 key, uint256 newKey) internal {
        bytes32 nonce = _random();
        ISubjects.Approval memory approval = _by(key, Signed.rotation(ALICE, _account(newKey), nonce, _soon()));
        authorizations.rotateSigner(ALICE, _account(newKey), nonce, _soon(), approval);
    }

    function _veto(uint256 key, uint256 newKey) internal {
        bytes32 nonce = _random();
        ISubjects.Approval memory approval = _by(key, Signed.veto(ALICE, _account(newKey), nonce, _soon()));
        authorizations.vetoRecovery(ALICE, _account(newKey), nonce, _soon(), approval);
    }

    function _close() internal {
        VM.prank(identity);
        authorizations.closeSubject(ALICE);
    }

    /// @dev By the registrar, with what `key` signed.
    function _open(uint256 key) internal {
        bytes32 nonce = _random();
        ISubjects.Approval memory approval = _by(key, Signed.opening(ALICE, nonce, _soon()));
        VM.prank(identity);
        authorizations.openSubject(ALICE, nonce, _soon(), approval);
    }

    function _startRecovery(bytes memory newSigner) internal {
        VM.prank(identity);
        authorizations.startRecovery(ALICE, newSigner);
    }

    /// @dev Replaces Alice's key by the new one, three days from now.
    function _recover() internal {
        _startRecovery(_account(NEW_KEY));
        VM.warp(_now() + RECOVERY_DELAY);
        authorizations.completeRecovery(ALICE);
    }

    function _appoint(uint256 guardianKey, uint64 expiresAt) internal {
        _appointBy(ALICE_KEY, guardianKey, expiresAt);
    }

    function _appointBy(uint256 key, uint256 guardianKey, uint64 expiresAt) internal {
        bytes memory guardian = _account(guardianKey);
        bytes32 nonce = _random();
        ISubjects.Approval memory approval =
            _by(key, Signed.guardian(ALICE, guardian, expiresAt, nonce, _soon()));
        authorizations.appointGuardian(ALICE, guardian, expiresAt, nonce, _soon(), approval);
    }

    /// @dev All that the powerful can do at once: each party withdrawn, the dataset closed, the purpose retired, the agreement
    /// withdrawn, the person's id closed.
    function _shutEverythingDown() internal {
        _close();
        VM.prank(provider);
        agreements.withdrawAgreement(landForLoan, "shut");
        VM.prank(provider);
        catalogue.withdrawDataset(land, "shut");
        VM.prank(authority);
        agreements.retirePurpose(loan);
        address[5] memory parties = [provider, regulator, recorder, identity, bank];
        for (uint256 i = 0; i < parties.length; ++i) {
            _withdrawParty(parties[i]);
        }
    }

    // Signatures

    function _account(uint256 key) internal pure returns (bytes memory) {
        return abi.encodePacked(VM.addr(key));
    }

    function _sign(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = VM.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    /// @dev What `key` signs of a person's record.
    function _by(uint256 key, bytes32 structHash) internal view returns (ISubjects.Approval memory) {
        bytes32 digest = Signed.digest(address(authorizations), structHash);
        return ISubjects.Approval(_account(key), _sign(key, digest));
    }

    function _byAlice(bytes32 structHash) internal view returns (ISubjects.Approval memory) {
        return _by(ALICE_KEY, structHash);
    }

    /// @dev Asked of the runner, because the compiler takes `block.timestamp` for constant, also across `warp`.
    function _now() internal view returns (uint64) {
        return uint64(VM.getBlockTimestamp());
    }

    function _soon() internal view returns (uint64) {
        return _now() + 10 minutes;
    }

    function _random() internal returns (bytes32) {
        return keccak256(abi.encode("random", ++_drawn));
    }

    // Accesses

    function _request(bytes32 basis) internal returns (IAccessLog.Request memory) {
        uint256 nonce = uint256(_random()) >> 200;
        return IAccessLog.Request({basis: basis, fields: 0x07, nonce: nonce, deadline: _soon(), item: 0});
    }

    function _request(AuthorizationId basis) internal returns (IAccessLog.Request memory) {
        return _request(AuthorizationId.unwrap(basis));
    }

    function _batch(address consumer, IAccessLog.Request[] memory requests)
        internal
        pure
        returns (IAccessLog.Batch[] memory batches)
    {
        batches = new IAccessLog.Batch[](1);
        batches[0] = IAccessLog.Batch(consumer, requests);
    }

    function _batch(address consumer, IAccessLog.Request memory request)
        internal
        pure
        returns (IAccessLog.Batch[] memory)
    {
        IAccessLog.Request[] memory requests = new IAccessLog.Request[](1);
        requests[0] = request;
        return _batch(consumer, requests);
    }

    function _record(IAccessLog.Batch[] memory batches) internal returns (Seen[] memory seen) {
        _follow();
        VM.prank(recorder);
        accessLog.record(batches);
        return _accesses(_follow());
    }

    /// @dev Of all events those of accesses.
    function _accesses(Vm.Log[] memory logs) internal pure returns (Seen[] memory seen) {
        seen = new Seen[](logs.length);
        uint256 count;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (_isAccess(logs[i])) seen[count++] = _read(logs[i]);
        }
        assembly ("memory-safe") {
            mstore(seen, count)
        }
    }

    function _isAccess(Vm.Log memory log) internal pure returns (bool) {
        return log.topics[0] == IAccessLog.Accessed.selector || log.topics[0] == IAccessLog.ItemAccessed.selector;
    }

    function _outcome(address consumer, IAccessLog.Request memory request) internal returns (Outcome) {
        return _record(_batch(consumer, request))[0].outcome;
    }

    /// @dev The bank's use of an authorization.
    function _use(AuthorizationId authorization) internal returns (Outcome) {
        return _outcome(bank, _request(authorization));
    }

    function _read(Vm.Log memory log) internal pure returns (Seen memory seen) {
        (uint256 fields, uint256 nonce, uint256 entry) = abi.decode(log.data, (uint256, uint256, uint256));
        seen.basis = log.topics[1];
        seen.fields = fields;
        seen.nonce = nonce;
        seen.consumer = address(uint160(entry >> 96));
        seen.sequence = uint48(entry >> 48);
        seen.deadline = uint40(entry >> 8);
        seen.outcome = Outcome(uint8(entry));
        if (log.topics[0] == IAccessLog.ItemAccessed.selector) {
            (,,, seen.item) = abi.decode(log.data, (uint256, uint256, uint256, bytes32));
        }
    }

    // Running hashes

    /// @dev Takes what was emitted since the last time, and appends it to the chains, by the rule of INumbered and not by the contracts' code.
    function _follow() internal returns (Vm.Log[] memory logs) {
        logs = VM.getRecordedLogs();
        VM.recordLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            ++_emitted[logs[i].topics[0]];
            _append(_chains[logs[i].emitter], logs[i]);
        }
    }

    function _append(Chain storage chain, Vm.Log memory log) private {
        bytes memory topics;
        for (uint256 i = 0; i < log.topics.length; ++i) {
            topics = bytes.concat(topics, log.topics[i]);
        }
        bytes memory data = log.data;
        uint256 first;
        assembly ("memory-safe") {
            first := mload(add(data, 0x20))
        }
        if (first != ++chain.count) chain.broken = true;
        chain.head = bytes24(keccak256(bytes.concat(chain.head, topics, data)));
    }

    /// @dev Whether a contract's state is what its events come to.
    function _isChained(INumbered numbered) internal view returns (bool) {
        Chain storage chain = _chains[address(numbered)];
        (uint64 count, bytes24 head) = numbered.state();
        return !chain.broken && count == chain.count && head == chain.head;
    }

    /// @dev At the end of a test: no event of it was without its number and its place in the running hash.
    function _expectChained() internal {
        _follow();
        VM.assertTrue(_isChained(registry), "the registry's chain");
        VM.assertTrue(_isChained(catalogue), "the catalogue's chain");
        VM.assertTrue(_isChained(agreements), "the agreements' chain");
        VM.assertTrue(_isChained(authorizations), "the authorizations' chain");
    }

    // What the tests say

    /// @dev The next call must emit what the test emits next, under this number.
    function _emits(INumbered emitter) internal returns (uint64 number) {
        (uint64 count,) = emitter.state();
        VM.expectEmit(address(emitter));
        return count + 1;
    }

    /// @dev The next call must be refused with exactly this error.
    function _refused(bytes memory reason) internal {
        VM.expectRevert(reason);
    }

    /// @dev What Alice's record is refused with when another key than hers signed.
    function _unauthorized(uint256 key) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ISubjects.SignerUnauthorized.selector, ALICE, _account(key));
    }

    function _expect(Outcome actual, Outcome expected) internal pure {
        VM.assertEq(uint256(actual), uint256(expected), "outcome");
    }
}
