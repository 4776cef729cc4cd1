// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {IAgreements} from "./interfaces/IAgreements.sol";
import {ICatalogue} from "./interfaces/ICatalogue.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {Fields} from "./libraries/Fields.sol";
import {AgreementId, ApplicationId, DatasetId, PurposeId, Role} from "./libraries/Types.sol";

/// @notice See {IAgreements}.
contract Agreements is IAgreements, EIP712 {
    struct Agreement {
        AgreementId id;
        address consumer;
        uint64 expiresAt;
        bool withdrawn;
        DatasetId dataset;
        PurposeId purpose;
        ApplicationId application;
        uint256 fields;
    }

    bytes32 private constant CONFIDENTIALITY_TYPEHASH = keccak256(
        "ConfidentialityAgreement(address consumer,bytes32 application,string text,bytes32 nonce,uint64 deadline)"
    );
    bytes32 private constant APPLICATION_TAG =
        keccak256("Application(address consumer,bytes32 dataset,bytes32 purpose,uint256 fields,bytes32 nonce)");
    bytes32 private constant AGREEMENT_TAG = keccak256("Agreement(address consumer,bytes32 dataset,bytes32 purpose)");

    IRegistry public immutable REGISTRY;
    ICatalogue public immutable CATALOGUE;

    mapping(PurposeId purpose => PurposeBounds) private _purposes;
    mapping(PurposeId purpose => mapping(DatasetId dataset => uint256 fields)) private _fieldsBound;
    mapping(ApplicationId application => Application) private _applications;
    mapping(AgreementId agreement => uint32 number) private _numbers;
    mapping(uint32 number => Agreement) private _agreements;
    uint32 private _agreementCount;

    constructor(IRegistry registry, ICatalogue catalogue) EIP712("Quancheng", "1") {
        REGISTRY = registry;
        CATALOGUE = catalogue;
    }

    modifier onlyAuthority() {
        if (REGISTRY.authority() != msg.sender) revert NotAuthority(msg.sender);
        _;
    }

    /// @inheritdoc IAgreements
    function registerPurpose(PurposeTerms calldata terms) external onlyAuthority returns (PurposeId purpose) {
        if (bytes(terms.code).length == 0) revert EmptyCode();
        if (terms.texts.length == 0) revert TextsMissing();
        if (terms.maxValidity == 0 || terms.maxUses == 0) revert BoundsEmpty();
        purpose = purposeId(terms);
        if (_purposes[purpose].maxUses != 0) revert PurposeExists(purpose);

        _purposes[purpose] = PurposeBounds({
            active: true,
            maxValidity: terms.maxValidity,
            maxUses: terms.maxUses,
            minInterval: terms.minInterval
        });
        emit PurposeRegistered(purpose, terms);
    }

    /// @inheritdoc IAgreements
    function bindFields(PurposeId purpose, DatasetId dataset, uint256 fields) external onlyAuthority {
        if (!_purposes[purpose].active) revert PurposeInactive(purpose);
        if (fields == 0) revert FieldsEmpty();
        if (_fieldsBound[purpose][dataset] != 0) revert FieldsAlreadyBound(purpose, dataset);
        if (!Fields.within(fields, Fields.all(CATALOGUE.datasetOf(dataset).fieldCount))) {
            revert FieldsOutsideSchema(dataset, fields);
        }

        _fieldsBound[purpose][dataset] = fields;
        emit PurposeFieldsBound(purpose, dataset, fields);
    }

    /// @inheritdoc IAgreements
    function retirePurpose(PurposeId purpose) external onlyAuthority {
        if (!_purposes[purpose].active) revert PurposeInactive(purpose);

        _purposes[purpose].active = false;
        emit PurposeRetired(purpose);
    }

    /// @inheritdoc IAgreements
    function applyFor(
        DatasetId dataset,
        PurposeId purpose,
        uint256 fields,
        string calldata justification,
        bytes32 nonce
    ) external returns (ApplicationId application) {
        REGISTRY.requireActive(msg.sender, Role.Consumer);
        if (!CATALOGUE.datasetOf(dataset).active) revert DatasetInactive(dataset);
        _requireWithinPurpose(purpose, dataset, fields);
        if (bytes(justification).length == 0) revert EmptyReason();
        application = ApplicationId.wrap(
            keccak256(abi.encode(APPLICATION_TAG, msg.sender, dataset, purpose, fields, nonce))
        );
        if (_applications[application].consumer != address(0)) revert ApplicationExists(application);

        Application storage created = _applications[application];
        created.consumer = msg.sender;
        created.dataset = dataset;
        created.purpose = purpose;
        created.fields = fields;
        emit Applied(application, msg.sender, dataset, purpose, fields, justification, nonce);
    }

    /// @inheritdoc IAgreements
    function approve(ApplicationId application, uint256 fields, uint64 expiresAt) external returns (AgreementId id) {
        Application storage applied = _undecided(application);
        if (!_purposes[applied.purpose].active) revert PurposeInactive(applied.purpose);
        if (fields == 0) revert FieldsEmpty();
        if (!Fields.within(fields, applied.fields)) revert FieldsOutsideApplication(application, fields);
        if (expiresAt <= block.timestamp) revert EndNotInFuture(expiresAt);

        applied.decided = true;
        id = agreementId(applied.consumer, applied.dataset, applied.purpose);
        uint32 number = _numberFor(id);
        _agreements[number] = Agreement({
            id: id,
            consumer: applied.consumer,
            expiresAt: expiresAt,
            withdrawn: false,
            dataset: applied.dataset,
            purpose: applied.purpose,
            application: application,
            fields: fields
        });
        emit AgreementApproved(id, application, number, fields, expiresAt);
    }

    /// @inheritdoc IAgreements
    function decline(ApplicationId application, string calldata reason) external {
        Application storage applied = _undecided(application);
        if (bytes(reason).length == 0) revert EmptyReason();

        applied.decided = true;
        emit ApplicationDeclined(application, reason);
    }

    /// @inheritdoc IAgreements
    /// @dev Anyone may relay it. The nonce needs no memory: an application is signed once.
    function signConfidentiality(
        address consumer,
        ApplicationId application,
        string calldata text,
        bytes32 nonce,
        uint64 deadline,
        bytes calldata signature
    ) external {
        Application storage applied = _applications[application];
        if (applied.consumer == address(0)) revert ApplicationUnknown(application);
        if (applied.consumer != consumer) revert ConsumerMismatch(application, consumer);
        if (applied.signed) revert AlreadySigned(application);
        if (bytes(text).length == 0) revert EmptyText();
        if (deadline < block.timestamp) revert DeadlinePassed(deadline);
        bytes32 textHash = keccak256(bytes(text));
        bytes32 digest = _hashTypedDataV4(
            keccak256(abi.encode(CONFIDENTIALITY_TYPEHASH, consumer, application, textHash, nonce, deadline))
        );
        if (!SignatureChecker.isValidSignatureNowCalldata(consumer, digest, signature)) {
            revert InvalidSignature(consumer);
        }

        applied.signed = true;
        emit ConfidentialitySigned(application, consumer, textHash, nonce);
    }

    /// @inheritdoc IAgreements
    function withdrawAgreement(AgreementId agreement, string calldata reason) external {
        Agreement storage found = _agreements[_numbers[agreement]];
        if (found.consumer == address(0)) revert AgreementUnknown(agreement);
        if (msg.sender != found.consumer && msg.sender != CATALOGUE.datasetOf(found.dataset).provider) {
            revert NotParty(msg.sender, agreement);
        }
        if (found.withdrawn) revert AgreementAlreadyWithdrawn(agreement);
        if (bytes(reason).length == 0) revert EmptyReason();

        found.withdrawn = true;
        emit AgreementWithdrawn(agreement, msg.sender, reason);
    }

    /// @inheritdoc IAgreements
    function requireWithinBounds(
        address consumer,
        DatasetId dataset,
        PurposeId purpose,
        uint256 fields,
        uint64 validity,
        uint32 maxUses,
        uint32 minInterval
    ) external view returns (uint32 number) {
        _requireWithinPurpose(purpose, dataset, fields);
        PurposeBounds storage bounds = _purposes[purpose];
        if (validity > bounds.maxValidity) revert ValidityOutOfBounds(validity, bounds.maxValidity);
        if (maxUses == 0 || maxUses > bounds.maxUses) revert UsesOutOfBounds(maxUses, bounds.maxUses);
        if (minInterval < bounds.minInterval) revert IntervalOutOfBounds(minInterval, bounds.minInterval);
        AgreementId id = agreementId(consumer, dataset, purpose);
        number = _numbers[id];
        if (!_active(_agreements[number])) revert AgreementInactive(id);
        if (!Fields.within(fields, _agreements[number].fields)) revert FieldsOutsideAgreement(id, fields);
    }

    /// @inheritdoc IAgreements
    function agreementOf(AgreementId agreement) external view returns (AgreementState memory) {
        return agreementByNumber(_numbers[agreement]);
    }

    /// @inheritdoc IAgreements
    function applicationOf(ApplicationId application) external view returns (Application memory) {
        return _applications[application];
    }

    /// @inheritdoc IAgreements
    function boundsOf(PurposeId purpose) external view returns (PurposeBounds memory) {
        return _purposes[purpose];
    }

    /// @inheritdoc IAgreements
    function fieldsBound(PurposeId purpose, DatasetId dataset) external view returns (uint256) {
        return _fieldsBound[purpose][dataset];
    }

    /// @inheritdoc IAgreements
    function agreementByNumber(uint32 number) public view returns (AgreementState memory state) {
        Agreement storage found = _agreements[number];
        if (found.consumer == address(0)) return state;
        state.id = found.id;
        state.number = number;
        state.consumer = found.consumer;
        state.dataset = found.dataset;
        state.purpose = found.purpose;
        state.application = found.application;
        state.fields = found.fields;
        state.expiresAt = found.expiresAt;
        state.withdrawn = found.withdrawn;
        state.active = _active(found);
    }

    /// @inheritdoc IAgreements
    function agreementId(address consumer, DatasetId dataset, PurposeId purpose) public pure returns (AgreementId) {
        return AgreementId.wrap(keccak256(abi.encode(AGREEMENT_TAG, consumer, dataset, purpose)));
    }

    /// @inheritdoc IAgreements
    function purposeId(PurposeTerms calldata terms) public pure returns (PurposeId) {
        return PurposeId.wrap(keccak256(abi.encode(terms)));
    }

    /// @dev The application, when it waits for the caller's decision as the dataset's provider.
    function _undecided(ApplicationId application) private view returns (Application storage applied) {
        applied = _applications[application];
        if (applied.consumer == address(0)) revert ApplicationUnknown(application);
        if (CATALOGUE.datasetOf(applied.dataset).provider != msg.sender) revert NotProvider(msg.sender, applied.dataset);
        REGISTRY.requireActive(msg.sender, Role.Provider);
        if (applied.decided) revert ApplicationDecided(application);
    }

    function _numberFor(AgreementId id) private returns (uint32 number) {
        number = _numbers[id];
        if (number == 0) {
            number = ++_agreementCount;
            _numbers[id] = number;
        }
    }

    function _requireWithinPurpose(PurposeId purpose, DatasetId dataset, uint256 fields) private view {
        if (!_purposes[purpose].active) revert PurposeInactive(purpose);
        if (fields == 0) revert FieldsEmpty();
        if (!Fields.within(fields, _fieldsBound[purpose][dataset])) {
            revert FieldsOutsidePurpose(purpose, dataset, fields);
        }
    }

    function _active(Agreement storage found) private view returns (bool) {
        return !found.withdrawn && found.expiresAt > block.timestamp && _applications[found.application].signed;
    }
}
