// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessLog} from "../../contracts/interfaces/IAccessLog.sol";
import {IAuthorizations} from "../../contracts/interfaces/IAuthorizations.sol";
import {ApplicationId, AuthorizationId, SubjectId} from "../../contracts/libraries/Types.sol";

/// @title What people and consumers sign, hashed as EIP-712 says and not as the contracts do it.
library Signed {
    bytes32 private constant DOMAIN =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant AUTHORIZATION = keccak256(
        "Authorization(bytes32 subject,address consumer,bytes32 dataset,bytes32 item,bytes32 purpose,uint256 fields,bytes32 caseReference,string statement,uint64 notBefore,uint64 expiresAt,uint32 maxUses,uint32 minInterval,bytes32 nonce,uint64 deadline)"
    );
    bytes32 private constant REVOCATION =
        keccak256("Revocation(bytes32 subject,bytes32 authorization,uint64 deadline)");
    bytes32 private constant CONFIRMATION =
        keccak256("Confirmation(bytes32 subject,bytes32 authorization,uint64 deadline)");
    bytes32 private constant FREEZE = keccak256("Freeze(bytes32 subject,bool frozen,bytes32 nonce,uint64 deadline)");
    bytes32 private constant ROTATION =
        keccak256("SignerRotation(bytes32 subject,bytes newSigner,bytes32 nonce,uint64 deadline)");
    bytes32 private constant VETO =
        keccak256("RecoveryVeto(bytes32 subject,bytes newSigner,bytes32 nonce,uint64 deadline)");
    bytes32 private constant GUARDIAN = keccak256(
        "GuardianAppointment(bytes32 subject,bytes guardian,uint64 expiresAt,bytes32 nonce,uint64 deadline)"
    );
    bytes32 private constant OPENING = keccak256("SubjectOpening(bytes32 subject,bytes32 nonce,uint64 deadline)");
    bytes32 private constant REQUEST = keccak256(
        "AccessRequest(address consumer,bytes32 basis,bytes32 item,uint256 fields,uint256 nonce,uint64 deadline)"
    );
    bytes32 private constant CONFIDENTIALITY = keccak256(
        "ConfidentialityAgreement(address consumer,bytes32 application,string text,bytes32 nonce,uint64 deadline)"
    );

    function digest(address verifyingContract, bytes32 structHash) internal view returns (bytes32) {
        bytes32 separator = keccak256(
            abi.encode(DOMAIN, keccak256("Quancheng"), keccak256("1"), block.chainid, verifyingContract)
        );
        return keccak256(abi.encodePacked(hex"1901", separator, structHash));
    }

    function authorization(IAuthorizations.Authorization memory terms) internal pure returns (bytes32) {
        bytes memory head = abi.encode(
            AUTHORIZATION,
            terms.subject,
            terms.consumer,
            terms.dataset,
            terms.item,
            terms.purpose,
            terms.fields,
            terms.caseReference
        );
        bytes memory tail = abi.encode(
            terms.statementHash,
            terms.notBefore,
            terms.expiresAt,
            terms.maxUses,
            terms.minInterval,
            terms.nonce,
            terms.deadline
        );
        return keccak256(bytes.concat(head, tail));
    }

    function revocation(SubjectId subject, AuthorizationId id, uint64 deadline) internal pure returns (bytes32) {
        return keccak256(abi.encode(REVOCATION, subject, id, deadline));
    }

    function confirmation(SubjectId subject, AuthorizationId id, uint64 deadline) internal pure returns (bytes32) {
        return keccak256(abi.encode(CONFIRMATION, subject, id, deadline));
    }

    function freeze(SubjectId subject, bool frozen, bytes32 nonce, uint64 deadline) internal pure returns (bytes32) {
        return keccak256(abi.encode(FREEZE, subject, frozen, nonce, deadline));
    }

    function rotation(SubjectId subject, bytes memory newSigner, bytes32 nonce, uint64 deadline)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(ROTATION, subject, keccak256(newSigner), nonce, deadline));
    }

    function veto(SubjectId subject, bytes memory newSigner, bytes32 nonce, uint64 deadline)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(VETO, subject, keccak256(newSigner), nonce, deadline));
    }

    function guardian(SubjectId subject, bytes memory signer, uint64 expiresAt, bytes32 nonce, uint64 deadline)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(GUARDIAN, subject, keccak256(signer), expiresAt, nonce, deadline));
    }

    function opening(SubjectId subject, bytes32 nonce, uint64 deadline) internal pure returns (bytes32) {
        return keccak256(abi.encode(OPENING, subject, nonce, deadline));
    }

    function request(address consumer, IAccessLog.Request memory asked) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(REQUEST, consumer, asked.basis, asked.item, asked.fields, asked.nonce, asked.deadline)
        );
    }

    function confidentiality(
        address consumer,
        ApplicationId application,
        string memory text,
        bytes32 nonce,
        uint64 deadline
    ) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(CONFIDENTIALITY, consumer, application, keccak256(bytes(text)), nonce, deadline)
        );
    }
}
