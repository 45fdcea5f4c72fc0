//! The registries of IANA for IKEv2, as newtypes: an unknown value survives and prints
//! as a number.

macro_rules! registry {
    ($(#[$doc:meta])* $name:ident: $ty:ty { $($konst:ident = $value:expr, $text:expr;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub struct $name(pub $ty);

        #[allow(missing_docs, reason = "the registry names them")]
        impl $name {
            $(pub const $konst: Self = Self($value);)*

            /// All that have a name here, in the order of the registry.
            pub const NAMED: &[Self] = &[$(Self::$konst),*];

            /// The registry's name, or none for a value that is not known here.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                match self.0 { $($value => Some($text),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.name() {
                    Some(name) => f.pad(name),
                    None => write!(f, "{}({})", stringify!($name), self.0),
                }
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }
    };
}

registry! {
    /// What a message is for.
    ExchangeType: u8 {
        IKE_SA_INIT = 34, "IKE_SA_INIT";
        IKE_AUTH = 35, "IKE_AUTH";
        CREATE_CHILD_SA = 36, "CREATE_CHILD_SA";
        INFORMATIONAL = 37, "INFORMATIONAL";
        IKE_SESSION_RESUME = 38, "IKE_SESSION_RESUME";
        IKE_INTERMEDIATE = 43, "IKE_INTERMEDIATE";
        IKE_FOLLOWUP_KE = 44, "IKE_FOLLOWUP_KE";
    }
}

registry! {
    /// The type of a payload.
    PayloadType: u8 {
        NONE = 0, "NONE";
        SA = 33, "SA";
        KE = 34, "KE";
        IDI = 35, "IDi";
        IDR = 36, "IDr";
        CERT = 37, "CERT";
        CERTREQ = 38, "CERTREQ";
        AUTH = 39, "AUTH";
        NONCE = 40, "Ni";
        NOTIFY = 41, "N";
        DELETE = 42, "D";
        VENDOR_ID = 43, "V";
        TSI = 44, "TSi";
        TSR = 45, "TSr";
        SK = 46, "SK";
        CP = 47, "CP";
        EAP = 48, "EAP";
        SKF = 53, "SKF";
    }
}

registry! {
    /// The protocol of a proposal, a notification or a delete.
    ProtocolId: u8 {
        NONE = 0, "NONE";
        IKE = 1, "IKE";
        AH = 2, "AH";
        ESP = 3, "ESP";
    }
}

registry! {
    /// What a transform is for.
    TransformType: u8 {
        ENCR = 1, "ENCR";
        PRF = 2, "PRF";
        INTEG = 3, "INTEG";
        KE = 4, "KE";
        SN = 5, "SN";
        ADDKE1 = 6, "ADDKE1";
        ADDKE2 = 7, "ADDKE2";
        ADDKE3 = 8, "ADDKE3";
        ADDKE4 = 9, "ADDKE4";
        ADDKE5 = 10, "ADDKE5";
        ADDKE6 = 11, "ADDKE6";
        ADDKE7 = 12, "ADDKE7";
    }
}

registry! {
    /// Transform type 1: encryption, with libreswan's names.
    EncrId: u16 {
        DES = 2, "DES";
        TRIPLE_DES = 3, "3DES_CBC";
        NULL = 11, "NULL";
        AES_CBC = 12, "AES_CBC";
        AES_CTR = 13, "AES_CTR";
        AES_CCM_8 = 14, "AES_CCM_8";
        AES_CCM_12 = 15, "AES_CCM_12";
        AES_CCM_16 = 16, "AES_CCM_16";
        AES_GCM_8 = 18, "AES_GCM_8";
        AES_GCM_12 = 19, "AES_GCM_12";
        AES_GCM_16 = 20, "AES_GCM_16";
        NULL_AUTH_AES_GMAC = 21, "NULL_AUTH_AES_GMAC";
        CAMELLIA_CBC = 23, "CAMELLIA_CBC";
        CAMELLIA_CTR = 24, "CAMELLIA_CTR";
        CHACHA20_POLY1305 = 28, "CHACHA20_POLY1305";
    }
}

registry! {
    /// Transform type 2: pseudorandom functions.
    PrfId: u16 {
        HMAC_MD5 = 1, "HMAC_MD5";
        HMAC_SHA1 = 2, "HMAC_SHA1";
        AES_XCBC = 4, "AES_XCBC";
        HMAC_SHA2_256 = 5, "HMAC_SHA2_256";
        HMAC_SHA2_384 = 6, "HMAC_SHA2_384";
        HMAC_SHA2_512 = 7, "HMAC_SHA2_512";
        AES_CMAC = 8, "AES_CMAC";
    }
}

registry! {
    /// Transform type 3: integrity.
    IntegId: u16 {
        NONE = 0, "NONE";
        HMAC_MD5_96 = 1, "HMAC_MD5_96";
        HMAC_SHA1_96 = 2, "HMAC_SHA1_96";
        AES_XCBC_96 = 5, "AES_XCBC_96";
        AES_CMAC_96 = 8, "AES_CMAC_96";
        HMAC_SHA2_256_128 = 12, "HMAC_SHA2_256_128";
        HMAC_SHA2_384_192 = 13, "HMAC_SHA2_384_192";
        HMAC_SHA2_512_256 = 14, "HMAC_SHA2_512_256";
    }
}

registry! {
    /// Transform type 4: key exchange methods, with libreswan's names.
    KeId: u16 {
        NONE = 0, "NONE";
        MODP768 = 1, "MODP768";
        MODP1024 = 2, "MODP1024";
        MODP1536 = 5, "MODP1536";
        MODP2048 = 14, "MODP2048";
        MODP3072 = 15, "MODP3072";
        MODP4096 = 16, "MODP4096";
        MODP6144 = 17, "MODP6144";
        MODP8192 = 18, "MODP8192";
        ECP_256 = 19, "DH19";
        ECP_384 = 20, "DH20";
        ECP_521 = 21, "DH21";
        MODP1024_160 = 22, "DH22";
        MODP2048_224 = 23, "DH23";
        MODP2048_256 = 24, "DH24";
        ECP_192 = 25, "DH25";
        ECP_224 = 26, "DH26";
        BRAINPOOL_224 = 27, "DH27";
        BRAINPOOL_256 = 28, "DH28";
        BRAINPOOL_384 = 29, "DH29";
        BRAINPOOL_512 = 30, "DH30";
        X25519 = 31, "DH31";
        X448 = 32, "DH32";
        ML_KEM_512 = 35, "ML_KEM_512";
        ML_KEM_768 = 36, "ML_KEM_768";
        ML_KEM_1024 = 37, "ML_KEM_1024";
    }
}

registry! {
    /// Transform type 5: sequence numbers (RFC 9827's names).
    SnId: u16 {
        SEQUENTIAL_32 = 0, "ESN_NO";
        SEQUENTIAL_64 = 1, "ESN_YES";
        UNSPECIFIED_32 = 2, "32_BIT_UNSPECIFIED";
    }
}

registry! {
    /// The type of an identification.
    IdType: u8 {
        IPV4_ADDR = 1, "IPV4_ADDR";
        FQDN = 2, "FQDN";
        RFC822_ADDR = 3, "USER_FQDN";
        IPV6_ADDR = 5, "IPV6_ADDR";
        DER_ASN1_DN = 9, "DER_ASN1_DN";
        DER_ASN1_GN = 10, "DER_ASN1_GN";
        KEY_ID = 11, "KEY_ID";
        FC_NAME = 12, "FC_NAME";
        NULL = 13, "NULL";
    }
}

registry! {
    /// How the AUTH payload was computed.
    AuthMethod: u8 {
        RSA_DIGITAL_SIGNATURE = 1, "rsa-digital-signature";
        SHARED_KEY_MIC = 2, "shared-key-mac";
        DSS_DIGITAL_SIGNATURE = 3, "dss-digital-signature";
        ECDSA_SHA2_256_P256 = 9, "ECDSA-with-SHA2_256";
        ECDSA_SHA2_384_P384 = 10, "ECDSA-with-SHA2_384";
        ECDSA_SHA2_512_P521 = 11, "ECDSA-with-SHA2_512";
        GSPM = 12, "generic-secure-password";
        NULL_AUTH = 13, "null";
        DIGITAL_SIGNATURE = 14, "digital-signature";
    }
}

registry! {
    /// The type of a traffic selector.
    TsType: u8 {
        IPV4_ADDR_RANGE = 7, "IPV4_ADDR_RANGE";
        IPV6_ADDR_RANGE = 8, "IPV6_ADDR_RANGE";
        FC_ADDR_RANGE = 9, "FC_ADDR_RANGE";
        SECLABEL = 10, "SECLABEL";
    }
}

registry! {
    /// How a certificate is encoded.
    CertEncoding: u8 {
        PKCS7 = 1, "PKCS7";
        PGP = 2, "PGP";
        DNS_SIGNED_KEY = 3, "DNS_SIGNED_KEY";
        X509_SIGNATURE = 4, "X509_SIGNATURE";
        KERBEROS = 6, "KERBEROS";
        CRL = 7, "CRL";
        ARL = 8, "ARL";
        SPKI = 9, "SPKI";
        X509_ATTRIBUTE = 10, "X509_ATTRIBUTE";
        RAW_RSA = 11, "RAW_RSA";
        HASH_URL_CERT = 12, "HASH_URL_CERT";
        HASH_URL_BUNDLE = 13, "HASH_URL_BUNDLE";
        OCSP = 14, "OCSP";
        RAW_PUBLIC_KEY = 15, "RAW_PUBLIC_KEY";
    }
}

registry! {
    /// What a configuration payload does.
    CfgType: u8 {
        REQUEST = 1, "REQUEST";
        REPLY = 2, "REPLY";
        SET = 3, "SET";
        ACK = 4, "ACK";
    }
}

registry! {
    /// What a configuration attribute holds.
    CfgAttributeType: u16 {
        INTERNAL_IP4_ADDRESS = 1, "INTERNAL_IP4_ADDRESS";
        INTERNAL_IP4_NETMASK = 2, "INTERNAL_IP4_NETMASK";
        INTERNAL_IP4_DNS = 3, "INTERNAL_IP4_DNS";
        INTERNAL_IP4_NBNS = 4, "INTERNAL_IP4_NBNS";
        INTERNAL_IP4_DHCP = 6, "INTERNAL_IP4_DHCP";
        APPLICATION_VERSION = 7, "APPLICATION_VERSION";
        INTERNAL_IP6_ADDRESS = 8, "INTERNAL_IP6_ADDRESS";
        INTERNAL_IP6_DNS = 10, "INTERNAL_IP6_DNS";
        INTERNAL_IP6_DHCP = 12, "INTERNAL_IP6_DHCP";
        INTERNAL_IP4_SUBNET = 13, "INTERNAL_IP4_SUBNET";
        SUPPORTED_ATTRIBUTES = 14, "SUPPORTED_ATTRIBUTES";
        INTERNAL_IP6_SUBNET = 15, "INTERNAL_IP6_SUBNET";
        INTERNAL_DNS_DOMAIN = 25, "INTERNAL_DNS_DOMAIN";
        INTERNAL_DNSSEC_TA = 26, "INTERNAL_DNSSEC_TA";
    }
}

registry! {
    /// What a notification says; below 16384 it is an error.
    NotifyType: u16 {
        UNSUPPORTED_CRITICAL_PAYLOAD = 1, "UNSUPPORTED_CRITICAL_PAYLOAD";
        INVALID_IKE_SPI = 4, "INVALID_IKE_SPI";
        INVALID_MAJOR_VERSION = 5, "INVALID_MAJOR_VERSION";
        INVALID_SYNTAX = 7, "INVALID_SYNTAX";
        INVALID_MESSAGE_ID = 9, "INVALID_MESSAGE_ID";
        INVALID_SPI = 11, "INVALID_SPI";
        NO_PROPOSAL_CHOSEN = 14, "NO_PROPOSAL_CHOSEN";
        INVALID_KE_PAYLOAD = 17, "INVALID_KE_PAYLOAD";
        AUTHENTICATION_FAILED = 24, "AUTHENTICATION_FAILED";
        SINGLE_PAIR_REQUIRED = 34, "SINGLE_PAIR_REQUIRED";
        NO_ADDITIONAL_SAS = 35, "NO_ADDITIONAL_SAS";
        INTERNAL_ADDRESS_FAILURE = 36, "INTERNAL_ADDRESS_FAILURE";
        FAILED_CP_REQUIRED = 37, "FAILED_CP_REQUIRED";
        TS_UNACCEPTABLE = 38, "TS_UNACCEPTABLE";
        INVALID_SELECTORS = 39, "INVALID_SELECTORS";
        UNACCEPTABLE_ADDRESSES = 40, "UNACCEPTABLE_ADDRESSES";
        UNEXPECTED_NAT_DETECTED = 41, "UNEXPECTED_NAT_DETECTED";
        USE_ASSIGNED_HOA = 42, "USE_ASSIGNED_HOA";
        TEMPORARY_FAILURE = 43, "TEMPORARY_FAILURE";
        CHILD_SA_NOT_FOUND = 44, "CHILD_SA_NOT_FOUND";
        INVALID_GROUP_ID = 45, "INVALID_GROUP_ID";
        AUTHORIZATION_FAILED = 46, "AUTHORIZATION_FAILED";
        STATE_NOT_FOUND = 47, "STATE_NOT_FOUND";
        INITIAL_CONTACT = 16384, "INITIAL_CONTACT";
        SET_WINDOW_SIZE = 16385, "SET_WINDOW_SIZE";
        ADDITIONAL_TS_POSSIBLE = 16386, "ADDITIONAL_TS_POSSIBLE";
        IPCOMP_SUPPORTED = 16387, "IPCOMP_SUPPORTED";
        NAT_DETECTION_SOURCE_IP = 16388, "NAT_DETECTION_SOURCE_IP";
        NAT_DETECTION_DESTINATION_IP = 16389, "NAT_DETECTION_DESTINATION_IP";
        COOKIE = 16390, "COOKIE";
        USE_TRANSPORT_MODE = 16391, "USE_TRANSPORT_MODE";
        HTTP_CERT_LOOKUP_SUPPORTED = 16392, "HTTP_CERT_LOOKUP_SUPPORTED";
        REKEY_SA = 16393, "REKEY_SA";
        ESP_TFC_PADDING_NOT_SUPPORTED = 16394, "ESP_TFC_PADDING_NOT_SUPPORTED";
        NON_FIRST_FRAGMENTS_ALSO = 16395, "NON_FIRST_FRAGMENTS_ALSO";
        MOBIKE_SUPPORTED = 16396, "MOBIKE_SUPPORTED";
        ADDITIONAL_IP4_ADDRESS = 16397, "ADDITIONAL_IP4_ADDRESS";
        ADDITIONAL_IP6_ADDRESS = 16398, "ADDITIONAL_IP6_ADDRESS";
        NO_ADDITIONAL_ADDRESSES = 16399, "NO_ADDITIONAL_ADDRESSES";
        UPDATE_SA_ADDRESSES = 16400, "UPDATE_SA_ADDRESSES";
        COOKIE2 = 16401, "COOKIE2";
        NO_NATS_ALLOWED = 16402, "NO_NATS_ALLOWED";
        AUTH_LIFETIME = 16403, "AUTH_LIFETIME";
        MULTIPLE_AUTH_SUPPORTED = 16404, "MULTIPLE_AUTH_SUPPORTED";
        ANOTHER_AUTH_FOLLOWS = 16405, "ANOTHER_AUTH_FOLLOWS";
        REDIRECT_SUPPORTED = 16406, "REDIRECT_SUPPORTED";
        REDIRECT = 16407, "REDIRECT";
        REDIRECTED_FROM = 16408, "REDIRECTED_FROM";
        TICKET_LT_OPAQUE = 16409, "TICKET_LT_OPAQUE";
        TICKET_REQUEST = 16410, "TICKET_REQUEST";
        TICKET_ACK = 16411, "TICKET_ACK";
        TICKET_NACK = 16412, "TICKET_NACK";
        TICKET_OPAQUE = 16413, "TICKET_OPAQUE";
        LINK_ID = 16414, "LINK_ID";
        USE_WESP_MODE = 16415, "USE_WESP_MODE";
        ROHC_SUPPORTED = 16416, "ROHC_SUPPORTED";
        EAP_ONLY_AUTHENTICATION = 16417, "EAP_ONLY_AUTHENTICATION";
        CHILDLESS_IKEV2_SUPPORTED = 16418, "CHILDLESS_IKEV2_SUPPORTED";
        QUICK_CRASH_DETECTION = 16419, "QUICK_CRASH_DETECTION";
        IKEV2_MESSAGE_ID_SYNC_SUPPORTED = 16420, "IKEV2_MESSAGE_ID_SYNC_SUPPORTED";
        IPSEC_REPLAY_COUNTER_SYNC_SUPPORTED = 16421, "IPSEC_REPLAY_COUNTER_SYNC_SUPPORTED";
        IKEV2_MESSAGE_ID_SYNC = 16422, "IKEV2_MESSAGE_ID_SYNC";
        IPSEC_REPLAY_COUNTER_SYNC = 16423, "IPSEC_REPLAY_COUNTER_SYNC";
        SECURE_PASSWORD_METHODS = 16424, "SECURE_PASSWORD_METHODS";
        PSK_PERSIST = 16425, "PSK_PERSIST";
        PSK_CONFIRM = 16426, "PSK_CONFIRM";
        ERX_SUPPORTED = 16427, "ERX_SUPPORTED";
        IFOM_CAPABILITY = 16428, "IFOM_CAPABILITY";
        IKEV2_FRAGMENTATION_SUPPORTED = 16430, "IKEV2_FRAGMENTATION_SUPPORTED";
        SIGNATURE_HASH_ALGORITHMS = 16431, "SIGNATURE_HASH_ALGORITHMS";
        CLONE_IKE_SA_SUPPORTED = 16432, "CLONE_IKE_SA_SUPPORTED";
        CLONE_IKE_SA = 16433, "CLONE_IKE_SA";
        PUZZLE = 16434, "PUZZLE";
        USE_PPK = 16435, "USE_PPK";
        PPK_IDENTITY = 16436, "PPK_IDENTITY";
        NO_PPK_AUTH = 16437, "NO_PPK_AUTH";
        INTERMEDIATE_EXCHANGE_SUPPORTED = 16438, "INTERMEDIATE_EXCHANGE_SUPPORTED";
        IP4_ALLOWED = 16439, "IP4_ALLOWED";
        IP6_ALLOWED = 16440, "IP6_ALLOWED";
        ADDITIONAL_KEY_EXCHANGE = 16441, "ADDITIONAL_KEY_EXCHANGE";
        USE_AGGFRAG = 16442, "USE_AGGFRAG";
        SUPPORTED_AUTH_METHODS = 16443, "SUPPORTED_AUTH_METHODS";
        SA_RESOURCE_INFO = 16444, "SA_RESOURCE_INFO";
    }
}

impl NotifyType {
    /// Whether the notification reports an error (RFC 7296, 3.10.1).
    #[must_use]
    pub fn is_error(self) -> bool {
        self.0 < 16384
    }
}
