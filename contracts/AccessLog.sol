// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IAccessLog} from "./interfaces/IAccessLog.sol";
import {IAgreements} from "./interfaces/IAgreements.sol";
import {IAuthorizations} from "./interfaces/IAuthorizations.sol";
import {ICatalogue} from "./interfaces/ICatalogue.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {Fields} from "./libraries/Fields.sol";
import {Requests} from "./libraries/Requests.sol";
import {Uses} from "./libraries/Uses.sol";
import {AgreementId, AuthorizationId, Class, DatasetId, OrderId, Outcome, Role} from "./libraries/Types.sol";

/// @notice See {IAccessLog}.
contract AccessLog is IAccessLog, EIP712 {
    /// @dev What the requests before this one needed from other contracts. Nothing of it can change within one call of
    /// `record`, so the next request of the same consumer or on the same terms finds it in memory. Outcomes are words here and
    /// wherever each request passes: the compiler checks an enum's range again at every step.
    /// @param consumerEntry The consumer where an event's `entry` has it.
    /// @param terms Number of the terms that were looked at last; `termsOutcome` and `termsFields` are theirs.
    /// @param usableTerms The same number when these terms allow a use, and `NO_TERMS` when they do not.
    struct Context {
        uint256 sequence;
        bytes32 head;
        address consumer;
        uint256 consumerEntry;
        uint256 consumerOutcome;
        uint256 nonceWord;
        uint256 nonceBits;
        uint256 terms;
        uint256 usableTerms;
        uint256 termsOutcome;
        uint256 termsFields;
    }

    bytes32 private constant REQUEST_TYPEHASH = keccak256(
        "AccessRequest(address consumer,bytes32 basis,bytes32 item,uint256 fields,uint256 nonce,uint64 deadline)"
    );

    uint256 private constant ALLOWED = uint256(Outcome.Allowed);
    // No nonce's word (those have 248 bits), and no number of terms (32 bits).
    uint256 private constant NO_WORD = type(uint256).max;
    uint256 private constant NO_TERMS = type(uint256).max;

    IRegistry public immutable REGISTRY;
    ICatalogue public immutable CATALOGUE;
    IAgreements public immutable AGREEMENTS;
    IAuthorizations public immutable AUTHORIZATIONS;

    uint256 private _sequence;
    bytes32 private _head;
    mapping(address consumer => mapping(uint256 word => uint256 bits)) private _nonces;

    constructor(IRegistry registry, ICatalogue catalogue, IAgreements agreements, IAuthorizations authorizations)
        EIP712("Quancheng", "1")
    {
        if (authorizations.ACCESS_LOG() != address(this)) revert NotWired(address(authorizations));
        REGISTRY = registry;
        CATALOGUE = catalogue;
        AGREEMENTS = agreements;
        AUTHORIZATIONS = authorizations;
    }

    /// @inheritdoc IAccessLog
    function record(Batch[] calldata batches) external {
        REGISTRY.requireActive(msg.sender, Role.Recorder);

        Context memory context;
        context.sequence = _sequence;
        context.head = _head;
        for (uint256 i = 0; i < batches.length; ++i) {
            _recordBatch(batches[i], context);
        }
        _sequence = context.sequence;
        _head = context.head;
        emit Recorded(msg.sender, context.sequence, context.head);
    }

    /// @inheritdoc IAccessLog
    function state() external view returns (uint256 sequence, bytes32 head) {
        return (_sequence, _head);
    }

    /// @inheritdoc IAccessLog
    function nonceUsed(address consumer, uint256 nonce) external view returns (bool) {
        return _nonces[consumer][nonce >> 8] & _nonceBit(nonce) != 0;
    }

    /// @inheritdoc IAccessLog
    function digestOf(address consumer, Request calldata request) external view returns (bytes32) {
        return _hashTypedDataV4(
            keccak256(
                abi.encode(
                    REQUEST_TYPEHASH,
                    consumer,
                    request.basis,
                    request.item,
                    request.fields,
                    request.nonce,
                    request.deadline
                )
            )
        );
    }

    function _recordBatch(Batch calldata batch, Context memory context) private {
        if (!_loadConsumer(batch.consumer, context)) {
            emit BatchSkipped(batch.consumer, msg.sender);
            return;
        }
        Request[] calldata requests = batch.requests;
        Request calldata request = Requests.first(requests);
        for (uint256 left = requests.length; left != 0; --left) {
            if (request.deadline > type(uint40).max) revert DeadlineTooLarge(request.deadline);
            if (request.nonce >> 8 != context.nonceWord) _turnToNonces(request.nonce >> 8, context);
            uint256 nonceBit = _nonceBit(request.nonce);
            uint256 outcome = _decide(request, nonceBit, context);
            context.nonceBits |= nonceBit;
            _append(request, outcome, context);
            request = Requests.next(request);
        }
        _storeNonces(context);
    }

    /// @dev Steps 1 to 7; `Authorizations.use` continues with an authorization and counts its use.
    function _decide(Request calldata request, uint256 nonceBit, Context memory context)
        private
        returns (uint256 outcome)
    {
        if (context.nonceBits & nonceBit != 0) return uint256(Outcome.DuplicateRequest);
        if (request.deadline < block.timestamp) return uint256(Outcome.RequestExpired);
        if (context.consumerOutcome != ALLOWED) return context.consumerOutcome;

        uint256 terms;
        (outcome, terms) = _use(request, context);
        if (terms == context.usableTerms) return outcome;
        if (terms == 0) return uint256(_decideOther(request, context.consumer));
        if (terms != context.terms) _loadTerms(terms, context);
        if (context.termsOutcome != ALLOWED) return context.termsOutcome;
        (outcome,) = _use(request, context);
    }

    function _use(Request calldata request, Context memory context) private returns (uint256, uint256) {
        bytes32 excess = bytes32(request.fields & ~context.termsFields);
        return Uses.use(AUTHORIZATIONS, AuthorizationId.wrap(request.basis), context.usableTerms, request.item, excess);
    }

    /// @dev Appends to the running hash what the event shows, and emits it.
    function _append(Request calldata request, uint256 outcome, Context memory context) private {
        uint256 sequence = ++context.sequence;
        bytes32 head = context.head;
        uint256 entry = context.consumerEntry | sequence << 48 | request.deadline << 8 | outcome;
        bytes32 topic = Accessed.selector;
        uint256 size = 0x60;
        if (request.item != 0) {
            topic = ItemAccessed.selector;
            size = 0x80;
        }
        assembly ("memory-safe") {
            let words := mload(0x40)
            mstore(words, head)
            calldatacopy(add(words, 0x20), request, 0x60) // basis, fields, nonce
            mstore(add(words, 0x80), entry)
            mstore(add(words, 0xa0), calldataload(add(request, 0x80))) // item
            head := keccak256(words, add(size, 0x40))
            log2(add(words, 0x40), size, topic, mload(add(words, 0x20)))
        }
        context.head = head;
    }

    function _turnToNonces(uint256 word, Context memory context) private {
        _storeNonces(context);
        context.nonceWord = word;
        context.nonceBits = _nonces[context.consumer][word];
    }

    function _storeNonces(Context memory context) private {
        if (context.nonceWord != NO_WORD) _nonces[context.consumer][context.nonceWord] = context.nonceBits;
    }

    /// @return named Whether the consumer named the caller as its recorder.
    function _loadConsumer(address consumer, Context memory context) private view returns (bool named) {
        IRegistry.Standing memory standing = REGISTRY.standingOf(consumer);
        if (standing.recorder != msg.sender && !REGISTRY.mayRecord(consumer, msg.sender)) return false;
        context.consumer = consumer;
        context.consumerEntry = uint256(uint160(consumer)) << 96;
        context.nonceWord = NO_WORD;
        context.terms = NO_TERMS;
        context.usableTerms = NO_TERMS;
        if (!standing.active || standing.roles & (1 << uint8(Role.Consumer)) == 0) {
            context.consumerOutcome = uint256(Outcome.ConsumerInactive);
        } else if (standing.restrictedUntil > block.timestamp) {
            context.consumerOutcome = uint256(Outcome.ConsumerRestricted);
        } else {
            context.consumerOutcome = ALLOWED;
        }
        return true;
    }

    /// @dev Steps 5 to 7 for an authorization: its agreement and the dataset behind it.
    function _loadTerms(uint256 terms, Context memory context) private view {
        IAuthorizations.GrantTerms memory granted = AUTHORIZATIONS.termsOf(uint32(terms));
        IAgreements.AgreementState memory agreement = AGREEMENTS.agreementByNumber(granted.agreement);
        context.terms = terms;
        context.termsFields = granted.fields & agreement.fields;
        Outcome outcome = Outcome.Allowed;
        if (agreement.consumer != context.consumer) outcome = Outcome.ConsumerMismatch;
        else if (!CATALOGUE.datasetOf(agreement.dataset).shared) outcome = Outcome.DatasetInactive;
        else if (!agreement.active || agreement.round != granted.round) outcome = Outcome.AgreementInactive;
        context.termsOutcome = uint256(outcome);
        context.usableTerms = outcome == Outcome.Allowed ? terms : NO_TERMS;
    }

    /// @dev A basis that is not an authorization: an agreement, an order, or an unconditional dataset itself.
    function _decideOther(Request calldata request, address consumer) private view returns (Outcome) {
        IAgreements.AgreementState memory agreement = AGREEMENTS.agreementOf(AgreementId.wrap(request.basis));
        if (agreement.number != 0) return _decideAgreement(request, consumer, agreement);
        ICatalogue.OrderState memory order = CATALOGUE.orderOf(OrderId.wrap(request.basis));
        if (order.endsAt != 0) return _decideOrder(request, consumer, order);
        return _decideDataset(request, CATALOGUE.datasetOf(DatasetId.wrap(request.basis)));
    }

    function _decideAgreement(Request calldata request, address consumer, IAgreements.AgreementState memory agreement)
        private
        view
        returns (Outcome)
    {
        ICatalogue.DatasetState memory dataset = CATALOGUE.datasetOf(agreement.dataset);
        if (dataset.personal) return Outcome.UnknownBasis;
        if (agreement.consumer != consumer) return Outcome.ConsumerMismatch;
        if (!dataset.shared) return Outcome.DatasetInactive;
        if (!agreement.active) return Outcome.AgreementInactive;
        if (!Fields.within(request.fields, agreement.fields)) return Outcome.FieldsExceeded;
        return Outcome.Allowed;
    }

    /// @dev An order opens its dataset, personal data too: to any consumer when Unconditional, to those with an agreement
    /// for the order's purpose when Conditional, to nobody when NotShared; and only fields that are bound to its purpose.
    function _decideOrder(Request calldata request, address consumer, ICatalogue.OrderState memory order)
        private
        view
        returns (Outcome)
    {
        if (!order.inForce || order.sharing == Class.NotShared) return Outcome.DatasetInactive;
        if (!CATALOGUE.datasetOf(order.dataset).active) return Outcome.DatasetInactive;
        if (CATALOGUE.closedByOrder(order.dataset)) return Outcome.DatasetInactive;
        // The catalogue does not know purposes, so what the order's may use is asked here.
        uint256 fields = order.fields & AGREEMENTS.fieldsBound(order.purpose, order.dataset);
        if (order.sharing == Class.Conditional) {
            IAgreements.AgreementState memory agreement =
                AGREEMENTS.agreementOf(AGREEMENTS.agreementId(consumer, order.dataset, order.purpose));
            if (!agreement.active) return Outcome.AgreementInactive;
            fields &= agreement.fields;
        }
        if (!Fields.within(request.fields, fields)) return Outcome.FieldsExceeded;
        return Outcome.Allowed;
    }

    function _decideDataset(Request calldata request, ICatalogue.DatasetState memory dataset)
        private
        pure
        returns (Outcome)
    {
        if (dataset.provider == address(0) || dataset.sharing == Class.Conditional) return Outcome.UnknownBasis;
        if (!dataset.shared) return Outcome.DatasetInactive;
        if (!Fields.within(request.fields, Fields.all(dataset.fieldCount))) return Outcome.FieldsExceeded;
        return Outcome.Allowed;
    }

    function _nonceBit(uint256 nonce) private pure returns (uint256) {
        return 1 << (nonce & 0xff);
    }
}
