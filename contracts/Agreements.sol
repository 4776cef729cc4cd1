// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {IAgreements} from "./interfaces/IAgreements.sol";
import {ICatalogue} from "./interfaces/ICatalogue.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {Fields} from "./libraries/Fields.sol";
import {Texts} from "./libraries/Texts.sol";
import {AgreementId, ApplicationId, DatasetId, PurposeId, Role} from "./libraries/Types.sol";
import {Numbered} from "./Numbered.sol";

/// @notice See {IAgreements}.
contract Agreements is IAgreements, EIP712, Numbered {
    /// @dev All that decides whether it is active stands in the consumer's slot, which every access reads.
    /// @param marks withdrawn (1 bit) | suspension unseen (1 bit) | round (14 bits).
    struct Agreement {
        AgreementId id;
        address consumer;
        uint40 expiresAt;
        uint40 suspendedUntil;
        uint16 marks;
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

    uint16 private constant WITHDRAWN = 1;
    uint16 private constant UNSEEN = 2;
    uint16 private constant ROUND = 4;
    uint64 private constant SUSPENSION = 30 minutes;

    IRegistry public immutable REGISTRY;
    ICatalogue public immutable CATALOGUE;

    mapping(PurposeId purpose => PurposeBounds) private _purposes;
    mapping(PurposeId purpose => mapping(DatasetId dataset => uint256 fields)) private _fieldsBound;
    mapping(ApplicationId application => Application) private _applications;
    mapping(AgreementId agreement => uint32 number) private _numbers;
    mapping(uint32 number => Agreement) private _agreements;
    mapping(address supervisor => address regulator) private _supervisors;
    uint32 private _agreementCount;

    constructor(IRegistry registry, ICatalogue catalogue) EIP712("Quancheng", "1") {
        REGISTRY = registry;
        CATALOGUE = catalogue;
    }

    modifier onlyAuthority() {
        if (REGISTRY.authority() != msg.sender) revert NotAuthority(msg.sender);
        _;
    }

    modifier onlyRegulator() {
        REGISTRY.requireActive(msg.sender, Role.Regulator);
        _;
    }

    /// @inheritdoc IAgreements
    function registerPurpose(PurposeTerms calldata terms) external onlyAuthority returns (PurposeId purpose) {
        if (bytes(terms.code).length == 0) revert EmptyCode();
        Texts.requireWithin(bytes(terms.code).length, Texts.NAME);
        _requireTexts(terms.texts);
        if (terms.maxValidity == 0 || terms.maxUses == 0) revert BoundsEmpty();
        if (terms.maxValidity > type(uint32).max || terms.retention > type(uint40).max) revert BoundsTooWide();
        purpose = purposeId(terms);
        if (_purposes[purpose].maxUses != 0) revert PurposeExists(purpose);

        _purposes[purpose] = PurposeBounds({
            active: true, maxValidity: terms.maxValidity, maxUses: terms.maxUses, minInterval: terms.minInterval
        });
        _emit(PurposeRegistered.selector, _topic(purpose), abi.encode(NUMBER, terms));
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
        _emit(PurposeFieldsBound.selector, _topic(purpose), DatasetId.unwrap(dataset), abi.encode(NUMBER, fields));
    }

    /// @inheritdoc IAgreements
    function retirePurpose(PurposeId purpose) external onlyAuthority {
        if (!_purposes[purpose].active) revert PurposeInactive(purpose);

        _purposes[purpose].active = false;
        _emit(PurposeRetired.selector, _topic(purpose), abi.encode(NUMBER));
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
        _requireReason(justification);
        application =
            ApplicationId.wrap(keccak256(abi.encode(APPLICATION_TAG, msg.sender, dataset, purpose, fields, nonce)));
        if (_applications[application].consumer != address(0)) revert ApplicationExists(application);

        Application storage created = _applications[application];
        created.consumer = msg.sender;
        created.dataset = dataset;
        created.purpose = purpose;
        created.fields = fields;
        _emit(
            Applied.selector,
            _topic(application),
            _topic(msg.sender),
            DatasetId.unwrap(dataset),
            abi.encode(NUMBER, purpose, fields, justification, nonce)
        );
    }

    /// @inheritdoc IAgreements
    function approve(ApplicationId application, uint256 fields, uint64 expiresAt) external returns (AgreementId id) {
        Application storage applied = _undecided(application);
        if (!_purposes[applied.purpose].active) revert PurposeInactive(applied.purpose);
        if (fields == 0) revert FieldsEmpty();
        if (!Fields.within(fields, applied.fields)) revert FieldsOutsideApplication(application, fields);
        if (expiresAt <= block.timestamp || expiresAt > type(uint40).max) revert EndNotInFuture(expiresAt);

        applied.decided = true;
        id = agreementId(applied.consumer, applied.dataset, applied.purpose);
        uint32 number = _numberFor(id);
        Agreement storage agreement = _agreements[number];
        agreement.id = id;
        agreement.consumer = applied.consumer;
        agreement.expiresAt = uint40(expiresAt);
        // A suspension, and that nobody looked at it, is not for the provider to end.
        if (agreement.marks & WITHDRAWN != 0) agreement.marks = _nextRound(id, agreement.marks);
        agreement.dataset = applied.dataset;
        agreement.purpose = applied.purpose;
        agreement.application = application;
        agreement.fields = fields;
        _emit(
            AgreementApproved.selector,
            _topic(id),
            _topic(application),
            abi.encode(NUMBER, number, agreement.marks / ROUND, fields, expiresAt)
        );
    }

    /// @inheritdoc IAgreements
    function decline(ApplicationId application, string calldata reason) external {
        Application storage applied = _undecided(application);
        _requireReason(reason);

        applied.decided = true;
        _emit(ApplicationDeclined.selector, _topic(application), abi.encode(NUMBER, reason));
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
        Texts.requireWithin(bytes(text).length, Texts.CONTRACT);
        if (deadline < block.timestamp) revert DeadlinePassed(deadline);
        bytes32 textHash = keccak256(bytes(text));
        bytes32 digest = _hashTypedDataV4(
            keccak256(abi.encode(CONFIDENTIALITY_TYPEHASH, consumer, application, textHash, nonce, deadline))
        );
        if (!SignatureChecker.isValidSignatureNowCalldata(consumer, digest, signature)) {
            revert InvalidSignature(consumer);
        }

        applied.signed = true;
        _emit(
            ConfidentialitySigned.selector, _topic(application), _topic(consumer), abi.encode(NUMBER, textHash, nonce)
        );
    }

    /// @inheritdoc IAgreements
    function withdrawAgreement(AgreementId agreement, string calldata reason) external {
        Agreement storage found = _existing(agreement);
        if (msg.sender != found.consumer && msg.sender != CATALOGUE.datasetOf(found.dataset).provider) {
            revert NotParty(msg.sender, agreement);
        }
        if (found.marks & WITHDRAWN != 0) revert AgreementAlreadyWithdrawn(agreement);
        _requireReason(reason);

        found.marks |= WITHDRAWN;
        _emit(AgreementWithdrawn.selector, _topic(agreement), _topic(msg.sender), abi.encode(NUMBER, reason));
    }

    /// @inheritdoc IAgreements
    function appointSupervisor(address supervisor) external onlyRegulator {
        if (supervisor == address(0)) revert SupervisorUnknown(supervisor);

        _supervisors[supervisor] = msg.sender;
        _emit(SupervisorAppointed.selector, _topic(supervisor), _topic(msg.sender), abi.encode(NUMBER));
    }

    /// @inheritdoc IAgreements
    function dismissSupervisor(address supervisor) external onlyRegulator {
        if (_supervisors[supervisor] == address(0)) revert SupervisorUnknown(supervisor);

        delete _supervisors[supervisor];
        _emit(SupervisorDismissed.selector, _topic(supervisor), _topic(msg.sender), abi.encode(NUMBER));
    }

    /// @inheritdoc IAgreements
    function suspendAgreement(AgreementId agreement, string calldata reason) external {
        if (!REGISTRY.isActive(_supervisors[msg.sender], Role.Regulator)) revert SupervisorUnknown(msg.sender);
        Agreement storage found = _existing(agreement);
        if (!_active(found)) revert AgreementInactive(agreement);
        if (found.marks & UNSEEN != 0) revert SuspensionUnseen(agreement);
        _requireReason(reason);

        uint40 until = uint40(block.timestamp + SUSPENSION);
        found.suspendedUntil = until;
        found.marks |= UNSEEN;
        _emit(AgreementSuspended.selector, _topic(agreement), _topic(msg.sender), abi.encode(NUMBER, until, reason));
    }

    /// @inheritdoc IAgreements
    function reviewSuspension(AgreementId agreement, uint64 until, string calldata findings) external onlyRegulator {
        Agreement storage found = _existing(agreement);
        if (found.marks & UNSEEN == 0) revert NotSuspended(agreement);
        _requireReason(findings);

        if (until < found.suspendedUntil) found.suspendedUntil = uint40(until);
        found.marks &= ~UNSEEN;
        _emit(
            SuspensionReviewed.selector,
            _topic(agreement),
            _topic(msg.sender),
            abi.encode(NUMBER, found.suspendedUntil, findings)
        );
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
    ) external view returns (uint32 number, uint16 round) {
        _requireWithinPurpose(purpose, dataset, fields);
        PurposeBounds storage bounds = _purposes[purpose];
        if (validity > bounds.maxValidity) revert ValidityOutOfBounds(validity, bounds.maxValidity);
        if (maxUses == 0 || maxUses > bounds.maxUses) revert UsesOutOfBounds(maxUses, bounds.maxUses);
        if (minInterval < bounds.minInterval) revert IntervalOutOfBounds(minInterval, bounds.minInterval);
        AgreementId id = agreementId(consumer, dataset, purpose);
        number = _numbers[id];
        Agreement storage agreement = _agreements[number];
        if (!_active(agreement)) revert AgreementInactive(id);
        if (!Fields.within(fields, agreement.fields)) revert FieldsOutsideAgreement(id, fields);
        round = agreement.marks / ROUND;
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
    function supervisorOf(address supervisor) external view returns (address regulator) {
        return _supervisors[supervisor];
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
    function agreementByNumber(uint32 number) public view returns (AgreementState memory agreement) {
        Agreement storage found = _agreements[number];
        if (found.consumer == address(0)) return agreement;
        uint16 marks = found.marks;
        agreement.id = found.id;
        agreement.number = number;
        agreement.consumer = found.consumer;
        agreement.dataset = found.dataset;
        agreement.purpose = found.purpose;
        agreement.application = found.application;
        agreement.fields = found.fields;
        agreement.expiresAt = found.expiresAt;
        agreement.suspendedUntil = found.suspendedUntil;
        agreement.round = marks / ROUND;
        agreement.suspensionUnseen = marks & UNSEEN != 0;
        agreement.withdrawn = marks & WITHDRAWN != 0;
        agreement.active = _active(found);
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
        if (CATALOGUE.datasetOf(applied.dataset).provider != msg.sender) {
            revert NotProvider(msg.sender, applied.dataset);
        }
        REGISTRY.requireActive(msg.sender, Role.Provider);
        if (applied.decided) revert ApplicationDecided(application);
    }

    function _existing(AgreementId agreement) private view returns (Agreement storage found) {
        found = _agreements[_numbers[agreement]];
        if (found.consumer == address(0)) revert AgreementUnknown(agreement);
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

    function _nextRound(AgreementId id, uint16 marks) private pure returns (uint16) {
        if (marks > type(uint16).max - ROUND) revert RoundsExhausted(id);
        return (marks & ~WITHDRAWN) + ROUND;
    }

    function _active(Agreement storage found) private view returns (bool) {
        return found.marks & WITHDRAWN == 0 && found.expiresAt > block.timestamp
            && found.suspendedUntil <= block.timestamp && _applications[found.application].signed;
    }

    function _requireTexts(Text[] calldata texts) private pure {
        if (texts.length == 0) revert TextsMissing();
        if (texts.length > Texts.LANGUAGES) revert TextsTooMany(texts.length);
        for (uint256 i = 0; i < texts.length; ++i) {
            Texts.requireWithin(bytes(texts[i].language).length, Texts.NAME);
            Texts.requireWithin(bytes(texts[i].template).length, Texts.PROSE);
        }
    }

    function _requireReason(string calldata reason) private pure {
        if (bytes(reason).length == 0) revert EmptyReason();
        Texts.requireWithin(bytes(reason).length, Texts.PROSE);
    }

    function _topic(PurposeId purpose) private pure returns (bytes32) {
        return PurposeId.unwrap(purpose);
    }

    function _topic(ApplicationId application) private pure returns (bytes32) {
        return ApplicationId.unwrap(application);
    }

    function _topic(AgreementId agreement) private pure returns (bytes32) {
        return AgreementId.unwrap(agreement);
    }
}
