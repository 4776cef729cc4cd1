// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAgreements} from "./interfaces/IAgreements.sol";
import {IAuthorizations} from "./interfaces/IAuthorizations.sol";
import {ICatalogue} from "./interfaces/ICatalogue.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {Grant, Grants} from "./libraries/Grants.sol";
import {AuthorizationId, Outcome, SubjectId} from "./libraries/Types.sol";
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

    ICatalogue public immutable CATALOGUE;
    IAgreements public immutable AGREEMENTS;
    /// @inheritdoc IAuthorizations
    address public immutable ACCESS_LOG;

    mapping(AuthorizationId authorization => Kept) private _grants;
    mapping(AuthorizationId authorization => bytes32 item) private _items;
    // The epoch in which a confirmed authorization was granted, plus one; zero for one that was never confirmed.
    mapping(AuthorizationId authorization => uint24 epochs) private _grantedIn;
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
        _requireNoRecovery(terms.subject, number);
        _requirePeriod(terms);
        if (!CATALOGUE.datasetOf(terms.dataset).personal) revert DatasetNotPersonal(terms.dataset);
        uint32 agreement = _requireWithinBounds(terms);
        authorization = authorizationId(terms);
        if (!_grants[authorization].grant.isUnknown()) revert AlreadyGranted(authorization);
        _requireApproval(
            terms.subject, number, _hashTypedDataV4(AuthorizationId.unwrap(authorization)), approval
        );

        uint24 epoch = _epochOf(number);
        _grants[authorization].grant = Grants.pack(
            number,
            _termsNumber(agreement, terms.fields),
            uint32(terms.notBefore),
            uint32(terms.expiresAt),
            terms.maxUses,
            terms.minInterval,
            epoch,
            terms.item != 0
        );
        if (terms.item != 0) _items[authorization] = terms.item;
        emit Granted(authorization, terms.subject, terms.consumer, terms, agreement, epoch, approval.signer);
    }

    /// @inheritdoc IAuthorizations
    /// @dev No guard on recovery, freezing, parties or datasets: nothing but the person's signature decides.
    function revoke(SubjectId subject, AuthorizationId authorization, uint64 deadline, Approval calldata approval)
        external
    {
        (uint32 number, Grant found) = _grantOfSubject(subject, authorization);
        if (found.revoked()) revert AlreadyRevoked(authorization);
        _requireDeadline(deadline);
        bytes32 structHash = keccak256(abi.encode(REVOCATION_TYPEHASH, subject, authorization, deadline));
        _requireStopper(subject, number, _grantEpoch(authorization, found), _hashTypedDataV4(structHash), approval);

        _grants[authorization].grant = found.revoke();
        emit Revoked(authorization, subject, approval.signer);
    }

    /// @inheritdoc IAuthorizations
    function confirm(SubjectId subject, AuthorizationId authorization, uint64 deadline, Approval calldata approval)
        external
    {
        (uint32 number, Grant found) = _grantOfSubject(subject, authorization);
        _requireNoRecovery(subject, number);
        if (found.revoked()) revert AlreadyRevoked(authorization);
        uint24 epoch = _epochOf(number);
        if (found.epoch() == epoch) revert AlreadyConfirmed(authorization);
        _requireDeadline(deadline);
        bytes32 structHash = keccak256(abi.encode(CONFIRMATION_TYPEHASH, subject, authorization, deadline));
        bytes32 digest = _hashTypedDataV4(structHash);
        _requireApproval(subject, number, digest, approval);
        _useOnce(digest);

        _grantedIn[authorization] = _grantEpoch(authorization, found) + 1;
        _grants[authorization].grant = found.withEpoch(epoch);
        emit Confirmed(authorization, subject, epoch, approval.signer);
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

    function _grantOfSubject(SubjectId subject, AuthorizationId authorization)
        private
        view
        returns (uint32 number, Grant found)
    {
        number = _numberOf(subject);
        found = _grants[authorization].grant;
        if (found.isUnknown()) revert AuthorizationUnknown(authorization);
        if (found.subject() != number) revert SubjectMismatch(authorization, subject);
    }

    /// @dev The epoch in which it was granted, whether or not a later key confirmed it: confirming takes no right to revoke away.
    function _grantEpoch(AuthorizationId authorization, Grant found) private view returns (uint24) {
        uint24 epochs = _grantedIn[authorization];
        return epochs == 0 ? found.epoch() : epochs - 1;
    }

    /// @dev Grants that agree in agreement and fields share one entry, so that an access reads it warm.
    function _termsNumber(uint32 agreement, uint256 fields) private returns (uint32 number) {
        bytes32 termsHash = keccak256(abi.encode(agreement, fields));
        number = _termsNumbers[termsHash];
        if (number == 0) {
            number = ++_termsCount;
            _termsNumbers[termsHash] = number;
            _terms[number] = GrantTerms({agreement: agreement, fields: fields});
        }
    }

    function _requireWithinBounds(Authorization calldata terms) private view returns (uint32 agreement) {
        return AGREEMENTS.requireWithinBounds(
            terms.consumer,
            terms.dataset,
            terms.purpose,
            terms.fields,
            terms.expiresAt - terms.notBefore,
            terms.maxUses,
            terms.minInterval
        );
    }

    function _requirePeriod(Authorization calldata terms) private view {
        _requireDeadline(terms.deadline);
        // The slot keeps 32 bits of seconds, which last until 2106.
        if (
            terms.expiresAt <= terms.notBefore || terms.expiresAt <= block.timestamp
                || terms.expiresAt > type(uint32).max
        ) revert PeriodInvalid(terms.notBefore, terms.expiresAt);
    }
}
