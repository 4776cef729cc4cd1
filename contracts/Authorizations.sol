// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessLog} from "./interfaces/IAccessLog.sol";
import {IAgreements} from "./interfaces/IAgreements.sol";
import {IAuthorizations} from "./interfaces/IAuthorizations.sol";
import {ICatalogue} from "./interfaces/ICatalogue.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {Grant, Grants} from "./libraries/Grants.sol";
import {Texts} from "./libraries/Texts.sol";
import {AuthorizationId, Outcome, Role, SubjectId} from "./libraries/Types.sol";
import {Subjects} from "./Subjects.sol";

/// @notice See {IAuthorizations}.
contract Authorizations is IAuthorizations, Subjects {
    /// @dev A struct, so that a use finds the slot once, reads it and writes it.
    struct Kept {
        Grant grant;
    }

    bytes32 private constant AUTHORIZATION_TYPEHASH = keccak256(
        "Authorization(bytes32 subject,address consumer,bytes32 dataset,bytes32 item,bytes32 purpose,uint256 fields,bytes32 caseReference,string statement,uint64 notBefore,uint64 expiresAt,uint32 maxUses,uint32 minInterval,bytes32 nonce,uint64 deadline)"
    );
    bytes32 private constant REVOCATION_TYPEHASH =
        keccak256("Revocation(bytes32 subject,bytes32 authorization,uint64 deadline)");
    bytes32 private constant CONFIRMATION_TYPEHASH =
        keccak256("Confirmation(bytes32 subject,bytes32 authorization,uint64 deadline)");

    uint64 private constant LATEST_START = 1 days;

    ICatalogue public immutable CATALOGUE;
    IAgreements public immutable AGREEMENTS;
    /// @inheritdoc IAuthorizations
    address public immutable ACCESS_LOG;

    mapping(AuthorizationId authorization => Kept) private _grants;
    mapping(AuthorizationId authorization => bytes32 item) private _items;
    // Revocations that came before their grant.
    mapping(AuthorizationId authorization => mapping(uint32 subjectNumber => bool revoked)) private _tombstones;
    mapping(AuthorizationId authorization => uint32 count) private _voids;
    // By both: no access is kept here, so a number voided for one authorization must say nothing of whose access it was.
    mapping(AuthorizationId authorization => mapping(uint256 sequence => bool voided)) private _voided;
    mapping(uint32 number => GrantTerms) private _terms;
    mapping(bytes32 termsHash => uint32 number) private _termsNumbers;
    uint32 private _termsCount;

    constructor(
        IRegistry registry,
        ICatalogue catalogue,
        IAgreements agreements,
        address accessLog,
        uint64 recoveryDelay
    ) Subjects(registry, recoveryDelay) {
        CATALOGUE = catalogue;
        AGREEMENTS = agreements;
        ACCESS_LOG = accessLog;
    }

    /// @inheritdoc IAuthorizations
    function grant(Authorization calldata terms, Approval calldata approval)
        external
        returns (AuthorizationId authorization)
    {
        uint32 number = _numberOf(terms.subject);
        _requireNotHalted(terms.subject, number);
        _requirePeriod(terms);
        if (!CATALOGUE.datasetOf(terms.dataset).personal) revert DatasetNotPersonal(terms.dataset);
        (uint32 agreement, uint16 round) = _requireWithinBounds(terms);
        authorization = authorizationId(terms);
        if (!_grants[authorization].grant.isUnknown()) revert AlreadyGranted(authorization);
        if (_tombstones[authorization][number]) revert AlreadyRevoked(authorization);
        _requireConsent(terms.subject, number, _hashTypedDataV4(AuthorizationId.unwrap(authorization)), approval);

        uint24 epoch = _epochOf(number);
        _grants[authorization].grant = Grants.pack(
            number,
            _termsNumber(agreement, round, terms.fields),
            uint32(terms.notBefore),
            uint32(terms.expiresAt),
            terms.maxUses,
            terms.minInterval,
            epoch,
            terms.item != 0
        );
        if (terms.item != 0) _items[authorization] = terms.item;
        _emit(
            Granted.selector,
            AuthorizationId.unwrap(authorization),
            _topic(terms.subject),
            _topic(terms.consumer),
            abi.encode(NUMBER, terms, agreement, round, epoch, keccak256(approval.signer))
        );
    }

    /// @inheritdoc IAuthorizations
    /// @dev No guard on recovery, freezing, closing, parties or datasets: nothing but the signature of one who may stop decides.
    function revoke(SubjectId subject, AuthorizationId authorization, uint64 deadline, Approval calldata approval)
        external
    {
        uint32 number = _numberOf(subject);
        Grant found = _grants[authorization].grant;
        if (found.isUnknown() ? _tombstones[authorization][number] : found.revoked()) {
            revert AlreadyRevoked(authorization);
        }
        if (!found.isUnknown() && found.subject() != number) revert SubjectMismatch(authorization, subject);
        _requireStopper(subject, number, approval);
        _requireDeadline(deadline);
        bytes32 structHash = keccak256(abi.encode(REVOCATION_TYPEHASH, subject, authorization, deadline));
        _requireSignature(_hashTypedDataV4(structHash), approval);

        if (found.isUnknown()) _tombstones[authorization][number] = true;
        else _grants[authorization].grant = found.revoke();
        _emit(
            Revoked.selector,
            AuthorizationId.unwrap(authorization),
            _topic(subject),
            abi.encode(NUMBER, keccak256(approval.signer))
        );
    }

    /// @inheritdoc IAuthorizations
    function confirm(SubjectId subject, AuthorizationId authorization, uint64 deadline, Approval calldata approval)
        external
    {
        uint32 number = _numberOf(subject);
        Grant found = _grants[authorization].grant;
        if (found.isUnknown()) revert AuthorizationUnknown(authorization);
        if (found.subject() != number) revert SubjectMismatch(authorization, subject);
        _requireNotHalted(subject, number);
        if (found.revoked()) revert AlreadyRevoked(authorization);
        uint24 epoch = _epochOf(number);
        if (found.epoch() == epoch) revert AlreadyConfirmed(authorization);
        _requireDeadline(deadline);
        bytes32 structHash = keccak256(abi.encode(CONFIRMATION_TYPEHASH, subject, authorization, deadline));
        bytes32 digest = _hashTypedDataV4(structHash);
        _requireConsent(subject, number, digest, approval);
        _useOnce(digest);

        _grants[authorization].grant = found.withEpoch(epoch);
        _emit(
            Confirmed.selector,
            AuthorizationId.unwrap(authorization),
            _topic(subject),
            abi.encode(NUMBER, epoch, keccak256(approval.signer))
        );
    }

    /// @inheritdoc IAuthorizations
    /// @dev The log keeps no access, so that the access was this authorization's is for replay to check. What holds here is that nobody gets
    /// more uses than the person gave: the terms hash to the id.
    function voidAccess(
        uint256 sequence,
        Authorization calldata terms,
        uint32 seen,
        uint32 lastUse,
        VoidGround ground,
        string calldata reason
    ) external {
        REGISTRY.requireActive(msg.sender, Role.Regulator);
        AuthorizationId authorization = authorizationId(terms);
        Grant found = _grants[authorization].grant;
        if (found.isUnknown()) revert AuthorizationUnknown(authorization);
        if (found.revoked()) revert AlreadyRevoked(authorization);
        (uint256 recorded,) = IAccessLog(ACCESS_LOG).state();
        if (sequence == 0 || sequence > recorded) revert AccessUnknown(sequence);
        if (_voided[authorization][sequence]) revert AlreadyVoided(authorization, sequence);
        if (found.usesLeft() >= terms.maxUses || _voids[authorization] >= terms.maxUses) {
            revert NothingToVoid(authorization);
        }
        if (seen != found.lastUse()) revert UsedSince(authorization, found.lastUse());
        if (lastUse > seen) revert LastUseTooLate(lastUse);
        if (bytes(reason).length == 0) revert EmptyReason();
        Texts.requireWithin(bytes(reason).length, Texts.PROSE);

        _voided[authorization][sequence] = true;
        ++_voids[authorization];
        _grants[authorization].grant = found.giveBack(lastUse);
        _emit(
            AccessVoided.selector,
            AuthorizationId.unwrap(authorization),
            bytes32(sequence),
            _topic(msg.sender),
            abi.encode(NUMBER, lastUse, ground, reason)
        );
    }

    /// @inheritdoc IAuthorizations
    /// @dev Emits nothing: the access log's event of the same access says it.
    function use(AuthorizationId authorization, uint256 terms, bytes32 item, bytes32 excess)
        external
        returns (uint256 outcome, uint256 termsNumber)
    {
        if (msg.sender != ACCESS_LOG) revert NotAccessLog(msg.sender);
        Kept storage kept = _grants[authorization];
        Grant found = kept.grant;
        termsNumber = found.terms();
        if (termsNumber != terms) return (uint256(Outcome.UnknownBasis), termsNumber);
        outcome = _decide(authorization, found, item, excess);

        if (outcome == uint256(Outcome.Allowed)) kept.grant = found.use();
    }

    /// @inheritdoc IAuthorizations
    function grantOf(AuthorizationId authorization) external view returns (Grant grant_, bool halted) {
        grant_ = _grants[authorization].grant;
        halted = _halted(grant_.subject(), grant_.epoch());
    }

    /// @inheritdoc IAuthorizations
    function termsOf(uint32 number) external view returns (GrantTerms memory) {
        return _terms[number];
    }

    /// @inheritdoc IAuthorizations
    function isVoided(AuthorizationId authorization, uint256 sequence) external view returns (bool) {
        return _voided[authorization][sequence];
    }

    /// @inheritdoc IAuthorizations
    function itemOf(AuthorizationId authorization) external view returns (bytes32) {
        return _items[authorization];
    }

    /// @inheritdoc IAuthorizations
    function authorizationId(Authorization calldata terms) public pure returns (AuthorizationId) {
        // The struct holds words only, in the order of the EIP-712 type, so its encoding is `encodeData`.
        return AuthorizationId.wrap(keccak256(abi.encode(AUTHORIZATION_TYPEHASH, terms)));
    }

    /// @dev Steps 8 to 10.
    function _decide(AuthorizationId authorization, Grant found, bytes32 item, bytes32 excess)
        private
        view
        returns (uint256)
    {
        if (block.timestamp < found.notBefore()) return uint256(Outcome.NotYetValid);
        if (block.timestamp >= found.expiresAt()) return uint256(Outcome.Expired);
        if (found.revoked()) return uint256(Outcome.Revoked);
        if (_halted(found.subject(), found.epoch())) return uint256(Outcome.Frozen);
        if (found.itemBound() && _isOther(item, authorization)) return uint256(Outcome.ItemExceeded);
        if (excess != 0) return uint256(Outcome.FieldsExceeded);
        if (found.usedTooRecently()) return uint256(Outcome.TooSoon);
        if (found.usesLeft() == 0) return uint256(Outcome.UsesExhausted);
        return uint256(Outcome.Allowed);
    }

    /// @dev An authorization for one record covers nothing else, so asking for all that it covers is asking for that one.
    function _isOther(bytes32 item, AuthorizationId authorization) private view returns (bool) {
        return item != 0 && item != _items[authorization];
    }

    /// @dev Grants that agree in agreement, round and fields share one entry, so that an access reads it warm.
    function _termsNumber(uint32 agreement, uint16 round, uint256 fields) private returns (uint32 number) {
        bytes32 termsHash = keccak256(abi.encode(agreement, round, fields));
        number = _termsNumbers[termsHash];
        if (number == 0) {
            number = ++_termsCount;
            _termsNumbers[termsHash] = number;
            _terms[number] = GrantTerms({agreement: agreement, round: round, fields: fields});
        }
    }

    function _requireWithinBounds(Authorization calldata terms) private view returns (uint32, uint16) {
        // From this block at the earliest: a start in the past would not count towards the longest validity otherwise.
        uint64 from = terms.notBefore > block.timestamp ? terms.notBefore : uint64(block.timestamp);
        return AGREEMENTS.requireWithinBounds(
            terms.consumer,
            terms.dataset,
            terms.purpose,
            terms.fields,
            terms.expiresAt - from,
            terms.maxUses,
            terms.minInterval
        );
    }

    function _requirePeriod(Authorization calldata terms) private view {
        _requireDeadline(terms.deadline);
        // The slot keeps 32 bits of seconds, which last until 2106.
        if (
            terms.expiresAt <= terms.notBefore || terms.expiresAt <= block.timestamp
                || terms.expiresAt > type(uint32).max || terms.notBefore > block.timestamp + LATEST_START
        ) revert PeriodInvalid(terms.notBefore, terms.expiresAt);
    }
}
